/* SPDX-License-Identifier: Apache-2.0 */
/* Session descriptions as a peer writes them. What is accepted can be answered: the answer reads back, with an m-line for each of the
 * offer, and at most one of them with a port. */
#include <stdlib.h>
#include "sip/sdp.h"

#define MUST(x)                                                                                                                  \
	do {                                                                                                                     \
		if (!(x))                                                                                                        \
			abort();                                                                                                 \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool inside(struct slice text, struct slice s)
{
	return !s.len || (s.p >= text.p && s.p + s.len <= text.p + text.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text = slice_of((const char *)data, size);
	struct sdp s, back;
	struct sdp_im_media m;
	struct buf b;
	if (sdp_parse(&s, text) < 0)
		return 0;
	bool found = sdp_im_find(&s, 1u << SDP_IM_SIP | 1u << SDP_IM_MSRP, &m);
	for (size_t i = 0; i < s.n_media; i++) {
		struct slice lines = s.media[i].lines, name, value;
		MUST(inside(text, lines) && inside(text, s.media[i].fmt));
		while (sdp_attribute_next(&lines, &name, &value))
			MUST(inside(text, name) && inside(text, value));
	}
	struct sdp_local l = {.form = found ? m.form : SDP_IM_SIP, .accept_types = S("text/plain"), .path = S("msrp://gw/x;tcp")};
	buf_init(&b, 2 * SDP_MAX);
	sdp_accept_both(&b, S("text/plain text/html"), found ? m.accept_types : SLICE_NONE);
	buf_clear(&b);
	sdp_write_answer(&b, &s, found ? m.index : SIZE_MAX, &l);
	if (buf_ok(&b) && b.len <= SDP_MAX) {
		size_t ports = 0;
		MUST(sdp_parse(&back, buf_slice(&b)) == 0);
		MUST(back.n_media == s.n_media);
		for (size_t i = 0; i < back.n_media; i++) {
			ports += back.media[i].port != 0;
			MUST(slice_eq(back.media[i].type, s.media[i].type));
		}
		MUST(ports == found);
	}
	buf_free(&b);
	return 0;
}
