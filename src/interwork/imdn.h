/* SPDX-License-Identifier: Apache-2.0 */
/* Instant message disposition notifications (RFC 5438): message/imdn+xml, what the headers of a CPIM message (cpim.h) ask for. Pure, any thread; results point into the document or lie in the arena. */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "interwork/cpim.h"

#define IMDN_TYPE S("message/imdn+xml")
#define IMDN_LYNC_TYPE S("application/ms-imdn+xml")
#define CPIM_TYPE S("message/cpim")

enum { IMDN_MAX_ID = 256, IMDN_MAX_TIME = 40, IMDN_MAX_URI = 1024 };

/* What may be asked for (imdn.Disposition-Notification); processing is asked for by the word "processing". */
enum { IMDN_POSITIVE = 1, IMDN_NEGATIVE = 2, IMDN_DISPLAY = 4, IMDN_PROCESSING = 8 };

enum imdn_kind { IMDN_DELIVERY, IMDN_DISPLAYING, IMDN_PROCESS };
/* FORBIDDEN: the recipient does not say; ERROR: it could not find out. Neither tells what became of the message. */
enum imdn_status { IMDN_DELIVERED, IMDN_FAILED, IMDN_DISPLAYED, IMDN_PROCESSED, IMDN_STORED, IMDN_FORBIDDEN, IMDN_ERROR };

struct imdn {
	struct slice message_id; /* of the message that it is about: 1..IMDN_MAX_ID octets, one line */
	struct slice datetime;   /* of that message, as written; may be empty */
	struct slice recipient;  /* recipient-uri; may be empty */
	enum imdn_kind kind;
	enum imdn_status status;
};

/* 0; ENTENTE_ESYNTAX: not a notification: no id, no or several notifications, a status that its kind does not have (extensions of others
 * beside it are stepped over); ENTENTE_ELIMIT (16 KiB, depth 8). The namespace may be missing. */
int imdn_read(struct imdn *ret, struct arena *a, struct slice doc, struct entente_err *err);
void imdn_write(struct buf *b, const struct imdn *n);

/* "delivered" "failed" "displayed" "processed" "stored" "forbidden" "error"; "delivery" "display" "processing". */
struct slice imdn_status_name(enum imdn_status s);
struct slice imdn_kind_name(enum imdn_kind k);

/* ms-imdn, what a Lync server says in a session of a message that reached nobody. Its form is known from clients alone: the ids in
 * <message-id/>, wherever they are; that it was sent means failure. ret_ids: how many were found, at most `max`. 0, ENTENTE_ESYNTAX,
 * ENTENTE_ELIMIT. */
int imdn_lync_read(struct slice *ids, size_t max, size_t *ret_ids, struct arena *a, struct slice doc, struct entente_err *err);

/* ---- in the headers of a CPIM message */
struct imdn_request {
	struct slice message_id; /* as above; empty when absent or unusable: then nothing can be answered and asks is 0 */
	unsigned asks;           /* IMDN_POSITIVE ... */
	struct slice datetime;   /* of DateTime, when it looks like a time, else empty */
};
void imdn_request_of(struct imdn_request *ret, const struct cpim *c);
/* For cpim_headers.imdn_wanted: "positive-delivery, display"; empty for 0. Static. */
struct slice imdn_wanted(unsigned asks);
