/* SPDX-License-Identifier: Apache-2.0 */
/* Writing SIP messages into a buf. Values are written as given: a value that holds CR, LF or NUL makes the buffer fail, so that
 * nothing that came from another protocol can start a header of its own. Every message ends with sip_build_body, which writes
 * Content-Length always (also 0). Not thread-safe per buffer. */
#pragma once
#include "sip/msg.h"

void sip_build_request(struct buf *b, struct slice method, struct slice uri);
void sip_build_status(struct buf *b, int status, struct slice reason); /* an empty reason gives the standard phrase */
void sip_build_header(struct buf *b, enum sip_hdr id, struct slice value);
void sip_build_header_named(struct buf *b, struct slice name, struct slice value);
void sip_build_header_uint(struct buf *b, enum sip_hdr id, uint64_t value);
/* "name: " printf. The result is checked for CR, LF, NUL like the others. */
void sip_build_header_fmt(struct buf *b, enum sip_hdr id, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Content-Type (skipped when empty), Content-Length, blank line, body. */
void sip_build_body(struct buf *b, struct slice content_type, struct slice body);

/* The start of a response to `req` (RFC 3261 8.2.6): status line, all Via fields (with `received` and `rport` filled in the
 * topmost from `source`, RFC 3261 18.2.1, RFC 3581), From, To (with `to_tag` added when it is not empty and To has none),
 * Call-ID, CSeq; Record-Route copied when `copy_record_route`; Timestamp copied. The caller adds more headers and calls
 * sip_build_body. source_ip may be empty. */
void sip_build_response(struct buf *b, const struct sip_msg *req, int status, struct slice reason, struct slice to_tag,
			bool copy_record_route, struct slice source_ip, uint16_t source_port);

/* Standard reason phrase, "Unknown" for unregistered codes. */
const char *sip_status_phrase(int status);
