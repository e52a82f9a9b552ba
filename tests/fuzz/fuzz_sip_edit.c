/* SPDX-License-Identifier: Apache-2.0 */
/* Edits over any octets that parse: the first octets say which edits, the rest is the message. What comes out parses again, with what was
 * not edited as it was, and applying no edit changes nothing. */
#include <stdlib.h>
#include "sip/edit.h"

#define MUST(x)             \
	do {                \
		if (!(x))   \
			abort(); \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void parse_again(struct slice out, const struct sip_msg *m, bool pushed, struct arena *a)
{
	static const struct sip_limits wide = {1 << 22, 4096, 1 << 22};
	struct sip_msg *back;
	struct sip_fault fault;
	if (sip_msg_parse(&back, a, out, &wide, &fault))
		return; /* an edit may take away what a message must have */
	MUST(slice_eq(back->call_id, m->call_id) && back->cseq == m->cseq);
	MUST(back->body.len == m->body.len && !memcmp(back->body.p ? back->body.p : "", m->body.p ? m->body.p : "", m->body.len));
	if (pushed)
		MUST(slice_eq(back->headers[0].name, S("X-Fuzz")) && slice_eq(back->headers[0].value, S("v")));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum sip_hdr lists[] = {SIP_H_VIA, SIP_H_ROUTE, SIP_H_RECORD_ROUTE, SIP_H_CONTACT};
	struct sip_msg *m;
	struct sip_fault fault;
	struct sip_edit e;
	struct buf out;
	if (size < 4)
		return 0;
	struct arena *a = arena_new(1 << 22);
	char *exact = malloc(size - 4 ? size - 4 : 1);
	memcpy(exact, data + 4, size - 4);
	if (sip_msg_parse(&m, a, slice_of(exact, size - 4), &sip_limits_default, &fault) == 0) {
		buf_init(&out, 1 << 21);
		sip_edit_init(&e, a, m);
		MUST(sip_edit_apply(&e, &out) && slice_eq(buf_slice(&out), m->raw));
		buf_clear(&out);
		sip_edit_init(&e, a, m);
		sip_edit_pop(&e, lists[data[0] & 3], data[0] >> 2 & 7);
		for (unsigned i = 0; i < (data[1] & 7u); i++)
			sip_edit_append(&e, S("X-More"), S("w"));
		if (data[2] & 1 && m->n_headers)
			sip_edit_remove_named(&e, m->headers[data[3] % m->n_headers].name);
		if (data[2] & 2 && m->is_request)
			sip_edit_replace(&e, m->uri_text, S("sip:z@z.test"));
		sip_edit_push(&e, S("X-Fuzz"), S("v"));
		if (sip_edit_apply(&e, &out))
			parse_again(buf_slice(&out), m, true, a);
		buf_free(&out);
	}
	arena_release(NULL, a);
	free(exact);
	return 0;
}
