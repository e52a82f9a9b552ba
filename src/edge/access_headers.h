/* SPDX-License-Identifier: Apache-2.0 */
/* What crosses the border between the organisation and its SIP partners, and what does not: edits of one message (sip/edit.h). Trust
 * headers never cross; ours are added last. Pure, any thread. */
#pragma once
#include "policy/decide.h"
#include "sip/edit.h"

struct access_marks {
	/* inward */
	bool keep_asserted;       /* P-Asserted-Identity of the partner is believed ... */
	struct slice remote;      /* ... when it names this domain alone; empty: that has been looked at */
	const char *source_type;  /* not NULL: tell a Lync home by ms-edge-proxy-message-trust ([MS-SIPRE] 2.2.15) ... */
	struct slice edge_name;   /* ... who we are */
	bool verified, publiccloud;
	/* outward */
	bool mark;                /* a request: ms-asserted-verification-level says `verified` */
	bool disclaimer;          /* ms-archiving: messages may be archived here */
	struct slice local;       /* the sender's domain: the only one that P-Asserted-Identity may name */
};

void access_edit_inward(struct sip_edit *e, const struct access_marks *marks);
void access_edit_outward(struct sip_edit *e, const struct access_marks *marks);

/* What the partner's edge says of the sender; NONE without the header, UNVERIFIED when it says two things. */
enum policy_mark access_mark_of(const struct sip_msg *m);
/* Hosts of the sip and sips URIs in P-Asserted-Identity, at most max > 0; others are given as "invalid" so that they match nothing, and
 * so is the last one when there are more than max. */
size_t access_asserted(const struct sip_msg *m, struct slice *ret, size_t max);
/* ms-source-type for a class of partners. */
const char *access_source_type(enum policy_class c);
