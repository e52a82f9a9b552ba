/* SPDX-License-Identifier: Apache-2.0 */
/* Tag soup in pieces: what SIP clients send as text/html, for plaintext.h and xhtml.h. Comments, declarations and what is never shown
 * (scripts, styles, titles, frames) are passed over. Any octets are accepted, time is linear. Pure, any thread. */
#pragma once
#include "base/slice.h"

struct html_reader {
	struct slice rest;
	bool no_more_tags; /* one had no end: all that follows is text, so that nobody looks for the end twice */
};

struct html_token {
	bool tag, closing;   /* `text` when it is no tag */
	struct slice text;   /* entities still inside */
	struct slice name;   /* of the tag, as it was written */
	struct slice inside; /* of the tag: its name and its attributes */
};

/* The next piece; false at the end. Slices point into what is read. */
bool html_next(struct html_reader *r, struct html_token *ret);
/* Decodes the entity at s (which begins with "&") into dst; returns how many octets of s it took, 0 when it is none. */
size_t html_entity(struct slice s, char dst[4], size_t *ret_len);
bool html_is_space(char c);
