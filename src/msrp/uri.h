/* SPDX-License-Identifier: Apache-2.0 */
/* MSRP URIs and paths (RFC 4975 6, 8.2, 9; RFC 4976 for several URIs in a path). Zero-copy, pure, any thread. */
#pragma once
#include <stdint.h>
#include "base/slice.h"

enum { MSRP_URI_TEXT_MAX = 1024, MSRP_PATH_MAX = 8 /* URIs */, MSRP_SESSION_ID_MAX = 64 /* ours; others' may be as long as their URI */ };

struct msrp_uri {
	struct slice text;      /* all of it */
	bool secure;            /* msrps */
	struct slice host;      /* name, IPv4 address, or IPv6 address without its brackets */
	uint16_t port;          /* 0: none given (legal of relays only) */
	struct slice session;   /* empty: a host device, no session */
	struct slice transport; /* "tcp" */
};

/* ENTENTE_ESYNTAX: not this grammar, or longer than MSRP_URI_TEXT_MAX; *ret is then untouched. */
int msrp_uri_parse(struct slice text, struct msrp_uri *ret);
/* RFC 4975 6.1. IP addresses are compared as text, without case. */
bool msrp_uri_eq(const struct msrp_uri *a, const struct msrp_uri *b);

struct msrp_path { /* as in To-Path, From-Path, a=path: nearest hop first, the endpoint last */
	struct slice text;
	size_t n; /* 1 .. MSRP_PATH_MAX */
	struct msrp_uri uri[MSRP_PATH_MAX];
};
/* URIs separated by single spaces (more are tolerated). ENTENTE_ESYNTAX; ENTENTE_ELIMIT: more than MSRP_PATH_MAX. */
int msrp_path_parse(struct slice text, struct msrp_path *ret);
/* The endpoint. */
static inline const struct msrp_uri *msrp_path_end(const struct msrp_path *p)
{
	return &p->uri[p->n - 1];
}
