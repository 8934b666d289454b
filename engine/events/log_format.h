/* log_format.h - the layout of an event log (events.plog). Numbers are little-endian.
 *
 *   file   = header block*
 *   header = magic[8] version:u32 size:u32 realtime_ns:u64 crc:u32 names_crc:u32 zero...
 *            (LOG_HEADER_SIZE) names                                       (size in all)
 *   block  = magic:u32 bytes:u32 records:u32 crc:u32 first_seq:u64 payload   (bytes of payload)
 *   payload = (length:u32 record)*       a record is what event_pack() makes
 *
 * names is what event_names_put() makes. In version 1 there are none, and records have names of
 * their own, as on the wire. The CRC-32C of a header is of the bytes before it; that of a block is
 * of its other fields and the payload. A block is written by one write; what a killed writer leaves
 * behind is a tail that fails its check. Unknown versions are refused. */
#ifndef PERIGEE_EVENTS_LOG_FORMAT_H
#define PERIGEE_EVENTS_LOG_FORMAT_H

#include "base/crc32c.h"

#include <stdint.h>

#define LOG_MAGIC       "PERIGLOG"
#define LOG_VERSION     2u
#define LOG_HEADER_SIZE 64u
#define LOG_HEADER_CRC  24u /* where the header's checksum stands */
#define LOG_NAMES_CRC   28u /* and that of the names */
#define LOG_NAMES_MAX   ((uint32_t)64 << 10)

#define LOG_BLOCK_MAGIC     0x4b4c4250u /* "PBLK" */
#define LOG_BLOCK_HEAD_SIZE 24u
#define LOG_BLOCK_CRC       12u
#define LOG_BLOCK_MAX       ((uint32_t)64 << 20) /* of payload */

static inline void log_put32(char *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (char)(v >> (8 * i));
}

static inline void log_put64(char *p, uint64_t v)
{
	log_put32(p, (uint32_t)v);
	log_put32(p + 4, (uint32_t)(v >> 32));
}

static inline uint32_t log_get32(const char *text)
{
	const unsigned char *p = (const unsigned char *)text;
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* Of a block: head is LOG_BLOCK_HEAD_SIZE bytes. */
static inline uint32_t log_block_crc(const char *head, const char *payload, size_t bytes)
{
	uint32_t crc = crc32c(0, head, LOG_BLOCK_CRC);
	crc = crc32c(crc, head + LOG_BLOCK_CRC + 4, LOG_BLOCK_HEAD_SIZE - LOG_BLOCK_CRC - 4);
	return crc32c(crc, payload, bytes);
}

#endif
