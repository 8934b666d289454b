/* limits.h - what the system lets this process have. Any thread. */
#ifndef PERIGEE_BASE_LIMITS_H
#define PERIGEE_BASE_LIMITS_H

#include <stdint.h>

/* Raise the soft limit of descriptors to the hard one: the usual soft limit of 1024 is for
 * programs that call select(). What the system refuses stays as it is. Returns the limit in
 * force, UINT64_MAX when there is none. */
uint64_t limits_raise_descriptors(void);

/* Local ports for outgoing connections, which bound the connections from one local address
 * to one endpoint. 0: the system does not say. */
uint64_t limits_ports(void);

#endif
