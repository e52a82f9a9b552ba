/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses: preparing twice changes nothing, the parts add up, and A-labels lead back to the same name. */
#include <stdint.h>
#include <stdlib.h>
#include "base/enc.h"
#include "xmpp/jid.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(cond)              \
	do {                     \
		if (!(cond))     \
			abort(); \
	} while (0)

static void stable(int prep(struct arena *a, struct slice in, struct slice *ret), struct arena *a, struct slice in)
{
	struct slice once, twice;
	int rc = prep(a, in, &once);
	CHECK(rc == 0 || rc == ENTENTE_ESYNTAX || rc == ENTENTE_ELIMIT);
	if (rc)
		return;
	CHECK(once.len && once.len <= 1023);
	CHECK(utf8_valid(once) && !utf8_has_control(once));
	CHECK(prep(a, once, &twice) == 0);
	CHECK(slice_eq(once, twice));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new(1 << 20);
	struct slice in = slice_of((const char *)data, size), ace, back;
	struct xmpp_jid j, again;
	stable(xmpp_prep_local, a, in);
	stable(xmpp_prep_domain, a, in);
	stable(xmpp_prep_resource, a, in);
	if (xmpp_jid_parse(&j, a, in) == 0) {
		CHECK(j.full.p[j.full.len] == '\0');
		CHECK(xmpp_jid_parse(&again, a, j.full) == 0);
		CHECK(xmpp_jid_equal(&j, &again));
		CHECK(slice_eq(j.local, again.local) && slice_eq(j.domain, again.domain) && slice_eq(j.resource, again.resource));
		CHECK(xmpp_jid_make(&again, a, j.local, j.domain, j.resource) == 0);
		CHECK(xmpp_jid_equal(&j, &again));
		CHECK(slice_find_chr(j.local, '@') < 0 && slice_find_chr(j.local, '/') < 0);
		CHECK(xmpp_domain_ascii(a, j.domain, &ace) == 0);
		CHECK(ace.len <= 253);
		for (size_t i = 0; i < ace.len; i++)
			CHECK((unsigned char)ace.p[i] < 0x80);
		CHECK(xmpp_prep_domain(a, ace, &back) == 0);
		CHECK(slice_eq(back, j.domain));
	}
	arena_release(NULL, a);
	return 0;
}
