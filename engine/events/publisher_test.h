/* publisher_test.h - what only the tests of the publisher need. */
#ifndef PERIGEE_EVENTS_PUBLISHER_TEST_H
#define PERIGEE_EVENTS_PUBLISHER_TEST_H

#include "events/outlet.h"
#include "events/publisher.h"

/* Every send of every publisher of the process goes through this one; it is
 * zmq_msg_send() unless a test sets it. */
extern int (*publisher_test_send)(zmq_msg_t *msg, void *socket, int flags);

/* The ZeroMQ context, to end it under the publisher's feet. */
void *publisher_test_context(const struct publisher *p);
void *outlet_test_context(const struct outlet *o);

#endif
