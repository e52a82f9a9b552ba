/* SPDX-License-Identifier: Apache-2.0 */
/* Any text as SIP URI and as JID: what is accepted must come back as itself, and no output may hold what could start a header. */
#include "base/enc.h"
#include "interwork/address.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_clean(struct slice uri)
{
	for (size_t i = 0; i < uri.len; i++)
		if ((unsigned char)uri.p[i] <= ' ' || (unsigned char)uri.p[i] >= 0x7f || strchr("<>\"", uri.p[i]))
			__builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct arena *a;
	struct slice text = slice_of((const char *)data, size), uri;
	struct xmpp_jid j, back;

	if (!a)
		a = arena_new(1 << 20);
	arena_reset(a);
	if (interwork_uri_to_jid(&j, a, text, NULL) == 0) {
		if (!utf8_valid(j.full) || utf8_has_control(j.full))
			__builtin_trap();
		if (interwork_jid_to_sip(&uri, a, &j, true, NULL) != 0)
			__builtin_trap();
		check_clean(uri);
		if (interwork_uri_to_jid(&back, a, uri, NULL) != 0 || !slice_eq(back.full, j.full))
			__builtin_trap();
	}
	if (xmpp_jid_parse(&j, a, text) == 0 && interwork_jid_to_sip(&uri, a, &j, true, NULL) == 0) {
		check_clean(uri);
		if (interwork_uri_to_jid(&back, a, uri, NULL) != 0 || !slice_eq(back.full, j.full))
			__builtin_trap();
	}
	return 0;
}
