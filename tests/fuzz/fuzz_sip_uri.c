/* SPDX-License-Identifier: Apache-2.0 */
/* Any octets as a URI; and any octets as a user name that goes into a URI and comes back. A "|" cuts the input in two for
 * comparing. */
#include <stdlib.h>
#include "base/buf.h"
#include "sip/uri.h"

#define MUST(x)                                                                                                            \
	do {                                                                                                               \
		if (!(x))                                                                                                  \
			abort();                                                                                           \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void one(struct slice text, struct sip_uri *u)
{
	struct buf b;
	struct slice v;
	MUST(sip_uri_equal(u, u));
	MUST(slice_eq(u->raw, text));
	sip_uri_param(u, S("lr"), &v);
	buf_init(&b, 1 << 20);
	/* what was accepted has whole escapes only */
	MUST(!sip_unescape(u->user, &b) && !sip_unescape(u->params, &b) && !sip_unescape(u->headers, &b));
	for (size_t i = 0; i < text.len; i++)
		MUST(text.p[i] > ' ' && text.p[i] < 127 && text.p[i] != '<' && text.p[i] != '>' && text.p[i] != '"');
	buf_free(&b);
}

static void user_comes_back(struct slice name)
{
	struct buf text, back;
	struct sip_uri u;
	buf_init(&text, 1 << 20);
	buf_init(&back, 1 << 20);
	buf_puts(&text, "sip:");
	sip_escape_user(name, &text);
	buf_puts(&text, "@h;p=");
	sip_escape_param(name, &text);
	MUST(buf_ok(&text) && !sip_uri_parse(buf_slice(&text), &u));
	MUST(!sip_unescape(u.user, &back) && slice_eq(buf_slice(&back), name));
	struct slice v;
	buf_clear(&back);
	MUST(sip_uri_param(&u, S("p"), &v) && !sip_unescape(v, &back) && slice_eq(buf_slice(&back), name));
	buf_free(&text);
	buf_free(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *exact = malloc(size ? size : 1);
	struct sip_uri a, b;
	memcpy(exact, data, size);
	struct slice rest = slice_of(exact, size), first = slice_split(&rest, '|');
	bool have_a = !sip_uri_parse(first, &a), have_b = !sip_uri_parse(rest, &b);
	if (have_a)
		one(first, &a);
	if (have_b)
		one(rest, &b);
	if (have_a && have_b)
		MUST(sip_uri_equal(&a, &b) == sip_uri_equal(&b, &a));
	if (first.len)
		user_comes_back(first);
	free(exact);
	return 0;
}
