/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever DER a peer sends: the facts are made or refused, every slice lies where it says and ends with a NUL. */
#include <stdlib.h>
#include "net/tls.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static volatile char sink;

static void check(struct slice s, size_t max)
{
	if (s.len > max || !s.p || s.p[s.len])
		abort();
	for (size_t i = 0; i < s.len; i++)
		sink = s.p[i];
}

static void check_all(const struct slice *s, size_t n, size_t max)
{
	for (size_t i = 0; i < n; i++) {
		check(s[i], max);
		if (!s[i].len || memchr(s[i].p, 0, s[i].len) || memchr(s[i].p, '\n', s[i].len))
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct tls_peer *f = NULL;
	if (tls_peer_from_der(&f, slice_of((const char *)p, n)))
		return 0;
	check(f->subject, 512);
	check(f->issuer, 512);
	check(f->serial, 64);
	check(f->cn, 255);
	check(f->why_not, 0);
	check_all(f->dns, f->n_dns, 255);
	check_all(f->srv, f->n_srv, 255);
	check_all(f->xmpp, f->n_xmpp, 255);
	check_all(f->uri, f->n_uri, 1024);
	if (f->n_dns + f->n_srv + f->n_xmpp + f->n_uri > TLS_NAMES_MAX || f->chain_ok)
		abort();
	tls_peer_free(f);
	return 0;
}
