/* SPDX-License-Identifier: Apache-2.0 */
/* message/cpim (RFC 3862) with the headers of IMDN (RFC 5438): MSRP sessions, SIP clients of the RCS and SylkServer families and all
 * who want receipts wrap texts in it. Pure, any thread. */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "interwork/mime.h"

#define CPIM_IMDN S("urn:ietf:params:imdn")

/* As read. Strings are raw, still to be made a line (interwork_line). */
struct cpim {
	struct slice from, to;      /* the URI of the first From and To, without brackets; p == NULL when absent */
	struct slice from_name;     /* the formal name, quotes off, unescaped */
	bool several_from;          /* more than one From: whom should one believe? */
	struct slice date;          /* DateTime (RFC 3339) */
	struct slice subject;       /* the first, unescaped */
	struct slice subject_lang;
	bool requires;              /* "Require" names a header that we do not know: it must not be shown */
	struct slice imdn_id;       /* imdn.Message-ID, whatever the prefix is called */
	struct slice imdn_wanted;   /* imdn.Disposition-Notification: a list */
	struct mime_part content;
};

/* ENTENTE_ESYNTAX without an empty line after the message headers; ENTENTE_ELIMIT. */
int cpim_read(struct cpim *ret, struct arena *a, struct slice doc);

/* To be written. Empty: left out. Texts are made one line and escaped. */
struct cpim_headers {
	struct slice from, to;      /* URIs; an address that cannot stand in brackets fails the buffer */
	struct slice from_name;
	struct slice date;          /* RFC 3339, as stanza_time_format writes it */
	struct slice subject, subject_lang;
	struct slice imdn_id;       /* with it NS and imdn.Message-ID */
	struct slice imdn_wanted;   /* "positive-delivery, display" */
	struct slice disposition;   /* Content-Disposition of the part: a literal */
};
/* The whole document: headers, and a part of this type and body with its length. */
void cpim_write(struct buf *b, const struct cpim_headers *h, struct slice type, struct slice body);
