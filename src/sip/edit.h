/* SPDX-License-Identifier: Apache-2.0 */
/* Edits over the original octets of a message: what a proxy does not own stays as it was received, byte for byte, in its place. A list of
 * cuts and insertions is collected while looking at the index (struct sip_msg) and applied once, when the outgoing copy is written.
 * Everything lives in the arena of the message. Not thread-safe. */
#pragma once
#include "base/buf.h"
#include "sip/msg.h"

enum { SIP_EDITS_MAX = 256 };

struct sip_edit_one {
	size_t from, to;   /* octets of the message that go; equal: nothing goes */
	struct slice text; /* what comes there; borrowed until the list is applied */
};

struct sip_edit {
	const struct sip_msg *m;
	struct arena *arena;
	struct sip_edit_one *list;
	size_t n, cap;
	bool failed; /* sticky: out of memory or of places, or a piece that is not of the message */
};

void sip_edit_init(struct sip_edit *e, struct arena *a, const struct sip_msg *m);

/* `piece` must lie inside m->raw. */
void sip_edit_replace(struct sip_edit *e, struct slice piece, struct slice text);
void sip_edit_remove(struct sip_edit *e, struct slice piece);
/* Before the octet at `at`, after what was inserted there earlier. A text that starts a header line ends with CRLF. */
void sip_edit_insert(struct sip_edit *e, const char *at, struct slice text);
/* A header line of ours, on top of all headers (on top of the earlier ones of this call, too) / at their end. A value with CR, LF or NUL
 * fails the list. */
void sip_edit_push(struct sip_edit *e, struct slice name, struct slice value);
void sip_edit_append(struct sip_edit *e, struct slice name, struct slice value);
/* All fields with this name, without case, folded and compact forms too. Returns how many. */
size_t sip_edit_remove_named(struct sip_edit *e, struct slice name);
/* Takes off the first n values of a list header (Via, Route), over as many fields as they take. False: there are fewer, nothing is
 * edited. Once for each header and list. */
bool sip_edit_pop(struct sip_edit *e, enum sip_hdr id, size_t n);

/* Writes the edited message. False when the list has failed, two cuts overlap, or the buffer is full. */
bool sip_edit_apply(struct sip_edit *e, struct buf *out);
