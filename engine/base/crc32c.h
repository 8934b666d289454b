/* crc32c.h - CRC-32C (Castagnoli, RFC 3720 appendix B.4), to know torn and
 * damaged blocks. Any thread. */
#ifndef PERIGEE_BASE_CRC32C_H
#define PERIGEE_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Of data after what gave `crc`; 0 to begin. */
uint32_t crc32c(uint32_t crc, const void *data, size_t len);

/* The same on any processor; slower. */
uint32_t crc32c_portable(uint32_t crc, const void *data, size_t len);

#endif
