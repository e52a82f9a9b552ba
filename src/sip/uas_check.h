/* SPDX-License-Identifier: Apache-2.0 */
/* What a UAS core and a proxy look at before anything else in a request that parsed (RFC 3261 8.2.2, 8.2.3, 16.3). Pure, any
 * thread. Whether the method is allowed (405) and who is called (404) is the caller's table. */
#pragma once
#include "base/arena.h"
#include "sip/msg.h"

struct sip_slices {
	const struct slice *v;
	size_t n;
};

/* What this element can do. Lists are compared without case. */
struct sip_uas_caps {
	bool proxy;                   /* RFC 3261 16.3: Proxy-Require, Max-Forwards 0 refused; the rest is the far end's affair */
	unsigned schemes;             /* Request-URI: 1u << enum sip_scheme | ... */
	struct sip_slices extensions; /* option tags */
	struct sip_slices types;      /* bodies we read, also ranges: "text/plain", "multipart" slash star */
	struct sip_slices encodings;  /* content codings beside identity */
	struct sip_slices produces;   /* bodies that a 2xx of ours carries; empty: none, Accept is not looked at */
	size_t routes;                /* so many values of Route, from the first one on, were read already and are sound */
};

struct sip_uas_verdict {
	int status;          /* 0: go on */
	struct slice reason; /* empty: the standard phrase */
	struct slice header; /* name of the field that the response must carry, or empty */
	struct slice value;
};

/* In this order: scheme of the Request-URI (416), Max-Forwards 0 in a proxy (483; answer OPTIONS before asking, where wanted),
 * Require or Proxy-Require (420 with Unsupported; not for ACK and CANCEL), malformed Route or, for a UAS, Contact (400); then for
 * a UAS with a body that Content-Disposition does not make optional: Content-Encoding (415 with Accept-Encoding), Content-Type
 * missing (400) or not among ours (415 with Accept); last Accept against what we produce (406). Values are made in the arena;
 * names and literals are static. Returns verdict.status. */
int sip_uas_check(const struct sip_msg *m, const struct sip_uas_caps *c, struct arena *a, struct sip_uas_verdict *ret);
