/* crc32c_test.h - what only the tests of crc32c need. */
#ifndef PERIGEE_BASE_CRC32C_TEST_H
#define PERIGEE_BASE_CRC32C_TEST_H

#include "base/crc32c.h"

/* The way of processors without an instruction for it. */
uint32_t crc32c_test_by_table(uint32_t crc, const void *data, size_t len);

#endif
