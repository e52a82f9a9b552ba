/* SPDX-License-Identifier: Apache-2.0 */
/* The first octet chooses the type, the rest is the data of a record. */
#include <stdlib.h>
#include "net/dns_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void check(struct slice s, bool text)
{
	if (!s.p || s.p[s.len] || (text && memchr(s.p, 0, s.len)))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static const enum dns_type types[] = {DNS_A, DNS_AAAA, DNS_SRV, DNS_NAPTR, DNS_TLSA};
	struct dns_record r;
	char name[DNS_NAME_MAX + 2];
	if (!n)
		return 0;
	struct slice data = slice_of((const char *)p + 1, n - 1);
	struct arena *a = arena_new(1 << 16);
	if (dns_parse(types[*p % 5], data, a, &r)) {
		if (r.type == DNS_SRV) {
			check(r.srv.target, true);
			if (r.srv.target.len && !dns_name_clean(r.srv.target, name))
				abort(); /* what we take out we may ask for */
		} else if (r.type == DNS_NAPTR) {
			check(r.naptr.flags, true);
			check(r.naptr.service, true);
			check(r.naptr.regexp, true);
			check(r.naptr.replacement, true);
		} else if (r.type == DNS_TLSA) {
			check(r.tlsa.data, false);
		}
	}
	if (dns_name_clean(data, name) && strlen(name) > DNS_NAME_MAX + 1)
		abort();
	arena_release(NULL, a);
	return 0;
}
