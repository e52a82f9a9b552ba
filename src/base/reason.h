/* SPDX-License-Identifier: Apache-2.0 */
/* Reason IDs: stable names of refusals, one table (base/reason.def). Pure, any thread. */
#pragma once

enum reason {
#define REASON(name, id, sip, cond, type, who, text) REASON_##name,
#include "base/reason.def"
#undef REASON
	REASON_COUNT
};

struct reason_info {
	const char *id;             /* "policy/partner-unknown" */
	int sip_status;             /* the status of a refusal towards SIP */
	const char *xmpp_condition; /* RFC 6120 8.3.3 defined condition */
	const char *xmpp_type;      /* auth cancel continue modify wait */
	const char *who;            /* who can fix it: admin partner sender user both nobody */
	const char *text;           /* English, no final stop */
};

/* Never NULL; an unknown value gives the row of REASON_NONE. */
const struct reason_info *reason_info(enum reason r);
