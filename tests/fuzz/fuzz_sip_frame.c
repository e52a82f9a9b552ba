/* SPDX-License-Identifier: Apache-2.0 */
/* Any octets as a stream. However they are cut (the last octet says how), the same frames must come out as from one read. */
#include <stdlib.h>
#include "base/arena.h"
#include "sip/frame.h"

#define MUST(x)                                                                                                            \
	do {                                                                                                               \
		if (!(x))                                                                                                  \
			abort();                                                                                           \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct sip_limits lim = {.max_message = 2000, .max_headers = 32, .max_line = 300};

/* The next frame of in[*at ..], of which `have` octets have arrived at first and `step` more arrive each time. */
static void next(struct sip_framer *f, struct slice in, size_t at, size_t *have, size_t step, struct sip_frame *ret)
{
	for (;;) {
		char *exact = malloc(*have - at ? *have - at : 1);
		if (*have - at)
			memcpy(exact, in.p + at, *have - at);
		sip_framer_next(f, slice_of(exact, *have - at), ret);
		if (ret->message.len) { /* as a place in the whole stream */
			MUST(ret->message.p >= exact && ret->message.p + ret->message.len <= exact + (*have - at));
			ret->message.p = in.p + at + (ret->message.p - exact);
		}
		free(exact);
		if (ret->kind != SIP_FRAME_MORE || *have == in.len)
			return;
		MUST(ret->missing > 0);
		*have += step < in.len - *have ? step : in.len - *have;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	struct slice in = slice_of((const char *)data, size - 1);
	size_t step = data[size - 1] % 97 + 1, at = 0, have_a = in.len, have_b = 0;
	struct sip_framer a, b;
	struct sip_frame x, y;
	sip_framer_init(&a, &lim);
	sip_framer_init(&b, &lim);
	do {
		next(&a, in, at, &have_a, 1, &x);
		if (have_b < at)
			have_b = at;
		next(&b, in, at, &have_b, step, &y);
		MUST(x.kind == y.kind && x.consume == y.consume && x.fault.status == y.fault.status);
		MUST(x.kind != SIP_FRAME_MESSAGE || (x.message.p == y.message.p && x.message.len == y.message.len));
		MUST((x.kind == SIP_FRAME_MORE || x.kind == SIP_FRAME_ERROR) == !x.consume);
		MUST(x.message.len <= lim.max_message);
		if (x.kind == SIP_FRAME_ERROR) {
			struct arena *arena = arena_new(1 << 20);
			MUST(x.fault.status && x.fault.text[0]);
			sip_frame_answerable(&x, arena, &lim);
			arena_release(NULL, arena);
		}
		at += x.consume;
		MUST(at <= in.len);
	} while (x.consume);
	return 0;
}
