/* SPDX-License-Identifier: Apache-2.0 */
/* One small file by plain HTTP (RFC 9112), for revocation lists: what is fetched proves itself by a signature, so TLS would add nothing
 * and could go in circles. The URL comes from strangers: only http, no user in it, no control octet; never to an address that is not
 * public unless allowed (also not after a redirect, and DNS cannot change its mind between the look and the call); bounded in octets, in
 * time as a whole, and in redirects, which lead to http only. No cookies, no proxy, no compression.
 *
 * Thread: that of one worker, whose resolver calls come back there too. */
#pragma once
#include "net/dns.h"

enum { FETCH_URL_MAX = 1024, FETCH_REDIRECTS = 3, FETCH_ADDRESSES = 6 };

struct fetch_opts {
	size_t octets_max;   /* of the body */
	uint32_t timeout_ms; /* from start to the last octet */
	bool private_ok;     /* addr_is_private is no hindrance */
};

struct fetch;

struct fetch_result { /* valid inside the callback only */
	struct slice body;  /* when why is empty */
	struct slice why;   /* "HTTP status 404", "larger than 10485760 octets" ... */
	int64_t date;       /* what the server's clock said with its last answer, whatever that was; 0: it did not say */
};

/* May this be fetched at all, by its form? */
bool fetch_url_ok(struct slice url);
/* `done` comes exactly once, later, unless cancelled. Never NULL: a URL that may not be fetched is told by `done`. `dns` may be NULL for
 * addresses only. */
struct fetch *fetch_start(struct worker *self, struct dns *dns, struct slice url, const struct fetch_opts *o,
			  void (*done)(void *arg, const struct fetch_result *r), void *arg);
/* Before `done`. Accepts NULL; returns NULL. */
struct fetch *fetch_cancel(struct fetch *f);
