/* SPDX-License-Identifier: Apache-2.0 */
/* As much of MIME as SIP bodies need (RFC 2045, 2046): parts, parameters, transfer encodings. Zero-copy but for decoding; liberal
 * in line ends. Pure, any thread. */
#pragma once
#include "base/arena.h"

struct mime_part {
	struct slice type;        /* Content-Type as written, folds inside; empty when absent */
	struct slice encoding;    /* Content-Transfer-Encoding */
	struct slice disposition; /* Content-Disposition */
	struct slice language;    /* Content-Language */
	struct slice body;
};

/* Headers, an empty line, a body. Without the empty line everything is headers. Of several headers with one name the first
 * counts. */
void mime_part_read(struct mime_part *ret, struct slice entity);

/* One header line (folds included) off the front of *rest, split at its colon. False at the empty line, which is taken off too,
 * and at the end. A line without a colon gives an empty name. */
bool mime_next_header(struct slice *rest, struct slice *ret_name, struct slice *ret_value);

/* A parameter of "type/subtype; name=value", quotes taken off (in the arena when there was a backslash). False when absent. */
bool mime_param(struct slice value, struct slice name, struct arena *a, struct slice *ret);

/* The parts of a multipart body: start with *rest = the body and *started = false. False when there are no more. A missing final
 * delimiter is forgiven, a missing first one is not. */
bool mime_next_part(struct slice *rest, bool *started, struct slice boundary, struct slice *ret_entity);

/* Undoes base64 and quoted-printable; 7bit, 8bit, binary and empty are returned as they are. 0, ENTENTE_ESYNTAX,
 * ENTENTE_EUNSUPPORTED (another encoding), ENTENTE_ELIMIT. */
int mime_decode(struct slice *ret, struct arena *a, struct slice encoding, struct slice body);
