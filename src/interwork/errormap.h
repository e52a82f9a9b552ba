/* SPDX-License-Identifier: Apache-2.0 */
/* Errors between the worlds: SIP final responses <-> XMPP stanza errors (RFC 7247 7, RFC 6120 8.3.3; the rows are in
 * errormap.def), and our own refusals (base/reason.def) towards both. Human text never carries a line end, a control character or
 * a direction override across. Pure functions, any thread; results live in the arena. */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "sip/msg.h"
#include "xmpp/error.h"
#include "xmpp/jid.h"

/* The methods that we take from homes, in Allow of an answer to OPTIONS and of a 405. */
#define INTERWORK_ALLOW "MESSAGE, SUBSCRIBE, NOTIFY, OPTIONS, INVITE, ACK, CANCEL, BYE, INFO, UPDATE"

struct interwork_error_rules {
	struct slice by;	 /* the gateway's domain: <error by=''>, warn-agent; may be empty */
	bool hide_unknown_users; /* 404, 484, 485, 604 become service-unavailable without text (RFC 6120 13.11); default true */
	bool bare_6xx;	      /* errors from a bare JID become 6xx as in RFC 7247 table 2; default false: the 4xx of a full JID */
	uint32_t retry_after; /* seconds, with 503 and resource-constraint; default 60; 0: no header */
	struct slice allow;   /* value of Allow in a 405 */
	/* May this domain be offered as a new address (301, 302)? NULL: towards XMPP all (our home says so), towards SIP none. */
	bool (*domain_allowed)(void *ctx, struct slice domain);
	void *ctx;
};
extern const struct interwork_error_rules interwork_error_rules_default;

/* ---- towards XMPP */
enum interwork_error_text {
	INTERWORK_TEXT_PHRASE,  /* the reason phrase as <text/> */
	INTERWORK_TEXT_ADDRESS, /* that, and the new address inside the condition, where there is one */
	INTERWORK_TEXT_NO_ADDRESS, /* gone for good (410): an address is forbidden */
};
struct interwork_sip_row {
	int status;
	const char *condition, *type;
	enum interwork_error_text text;
};
/* The row of a final status 300..699; unlisted ones give the row of their class. NULL for anything else. */
const struct interwork_sip_row *interwork_error_of_status(int status);

/* The error stanza that answers `stanza` when its SIP request got `resp`. NULL when the stanza must not be answered (it is an
 * error or an iq result), when resp is not a final failure, or at the arena's limit. */
struct xml_node *interwork_error_from_response(struct arena *a, const struct xml_node *stanza, const struct sip_msg *resp,
					       const struct interwork_error_rules *rules);
/* The same for a refusal of our own. `detail` (may be empty) is appended to the reason's text. Text and ID are kept back for
 * reasons that would tell which users exist. */
struct xml_node *interwork_error_from_reason(struct arena *a, const struct xml_node *stanza, enum reason reason,
					     struct slice detail, const struct interwork_error_rules *rules);

/* ---- towards SIP */
enum { INTERWORK_RESPONSE_HEADERS = 6 };
struct interwork_response {
	int status;
	struct slice phrase; /* empty: the standard phrase */
	struct {
		struct slice name, value;
	} headers[INTERWORK_RESPONSE_HEADERS]; /* beyond what every response has */
	size_t n_headers;
};
/* Row of table 2 alone; unknown conditions count as undefined-condition. has_address: the condition holds a new address (gone).
 * Without bare_6xx only the 6xx of a bare JID give way to the value of a full one. */
int interwork_status_of_condition(struct slice condition, bool from_full, bool has_address,
				  const struct interwork_error_rules *rules);
/* What to answer to a SIP request whose stanza came back as the error stanza `stanza`. `from_full`: the error came from a full
 * JID. */
void interwork_response_from_error(struct interwork_response *ret, struct arena *a, const struct xml_node *stanza, bool from_full,
				   const struct interwork_error_rules *rules);
/* What to answer for a refusal of our own: its status, its text as phrase, Entente-Reason, and the header its status demands
 * (Allow, Accept, Retry-After, Warning ...). */
void interwork_response_from_reason(struct interwork_response *ret, struct arena *a, enum reason reason,
				    const struct interwork_error_rules *rules);
/* Adds one more, in place of one with the same name; false when full. */
bool interwork_response_add(struct interwork_response *r, struct slice name, struct slice value);
/* Writes the headers (after sip_build_response, before sip_build_body). */
void interwork_response_write_headers(struct buf *b, const struct interwork_response *r);
