/* SPDX-License-Identifier: Apache-2.0 */
/* Dialog state (RFC 3261 12): what is needed to write the next request of a dialog and to judge the next one received.
 * A plain value with one heap block behind it; it can be saved as text and restored. Peer texts (From, To, Contact,
 * Record-Route) are kept octet for octet, except that line folds become spaces: route signatures, epid parameters and
 * GRUUs survive. Not thread-safe per object. Limits: SIP_DIALOG_MAX octets of all texts together. */
#pragma once
#include "base/buf.h"
#include "sip/msg.h"

enum { SIP_DIALOG_MAX = 16384, SIP_DIALOG_ROUTES = 32 };

struct sip_dialog {
	struct slice call_id, local_tag, remote_tag; /* remote_tag may be empty: an RFC 2543 peer */
	struct slice local, remote; /* From and To values as we write them, without the tag parameter: `"A" <sip:a@x>;epid=1` */
	struct slice target;        /* remote target URI: the peer's Contact */
	struct slice routes;        /* route set, one `<uri>;params` a line, in the order of our requests */
	uint32_t local_cseq;        /* of the last request that we wrote */
	uint32_t remote_cseq;       /* of the last one received */
	bool remote_cseq_known, secure;
	char *mem;                  /* owned: all slices point into it */
};

/* Server side: from the request that made the dialog and the To tag of our answer. ENTENTE_ESYNTAX when there is no
 * usable Contact, ENTENTE_ELIMIT. `over_tls`: how the request came (RFC 3261 12.1.1: secure needs both a sips
 * Request-URI and TLS). */
int sip_dialog_uas(struct sip_dialog *ret, const struct sip_msg *request, struct slice local_tag, bool over_tls);

/* Client side: what we put into the request, and the response. `local` and `remote` are our From and To values without tags. */
struct sip_dialog_local {
	struct slice call_id, local_tag, local, remote;
	uint32_t cseq;
	bool secure; /* the request went to a sips URI over TLS */
};
int sip_dialog_uac(struct sip_dialog *ret, const struct sip_dialog_local *local, const struct sip_msg *response);
/* Client side of a subscription: the dialog is made by the first NOTIFY and takes its route set (RFC 6665 4.4.1). */
int sip_dialog_notified(struct sip_dialog *ret, const struct sip_dialog_local *local, const struct sip_msg *notify);

/* Frees the block and zeroes the struct; harmless on a zeroed one. */
void sip_dialog_free(struct sip_dialog *d);

/* A dialog in one block with its texts, some 30 octets beside them: for who has very many and looks at each now and then. mem_free ends it. */
struct sip_dialog_kept;
/* Takes over: *d is zeroed. */
struct sip_dialog_kept *sip_dialog_keep(struct sip_dialog *d);
/* *ret is a dialog whose texts lie in `k`; where it is changed, sip_dialog_put_back comes next, before `k` is looked
 * at again. */
void sip_dialog_look(const struct sip_dialog_kept *k, struct sip_dialog *ret);
/* What was changed in `d` is kept; *k may be another block now. *d is zeroed. */
void sip_dialog_put_back(struct sip_dialog_kept **k, struct sip_dialog *d);

/* Starts the next request: start line, Max-Forwards: 70, Route, From, To, Call-ID, CSeq (local_cseq goes up by one,
 * except for ACK and CANCEL, whose number the caller gives as `cseq`; else 0). Strict routers are served (RFC 3261
 * 12.2.1.1). The caller adds more and ends with sip_build_body. */
void sip_dialog_request(struct sip_dialog *d, struct buf *b, enum sip_method method, uint32_t cseq);
/* Where to send it: the URI of the first route, or the remote target. */
struct slice sip_dialog_next_hop(const struct sip_dialog *d);

/* Does this request belong to the peer that we know (remote tag equal)? */
bool sip_dialog_matches(const struct sip_dialog *d, const struct sip_msg *request);
/* Order of a received request (RFC 3261 12.2.2): true and remembered when its CSeq is not lower than the last; false:
 * answer 500. */
bool sip_dialog_accept(struct sip_dialog *d, const struct sip_msg *request);
/* Target refresh: takes the Contact of a SUBSCRIBE, NOTIFY, INVITE, UPDATE or of a 2xx to one. No or an unusable
 * Contact changes nothing. */
void sip_dialog_refresh(struct sip_dialog *d, const struct sip_msg *m);
/* Replaces the route set by that of a 2xx (reversed Record-Route) when the dialog has none: a NOTIFY that crossed a
 * proxy of RFC 3265 days. */
void sip_dialog_adopt_routes(struct sip_dialog *d, const struct sip_msg *response);

/* Appends lines "name value\n", ended by "end\n". */
void sip_dialog_save(const struct sip_dialog *d, struct buf *b);
/* Reads what sip_dialog_save wrote from the front of *text and cuts it off. ENTENTE_ESYNTAX, ENTENTE_ELIMIT; *ret and
 * *text are untouched then. */
int sip_dialog_restore(struct sip_dialog *ret, struct slice *text);

/* Copies a header value with folds turned into single spaces and outer white space off. */
void sip_unfold(struct slice value, struct buf *b);
/* The URI of the first usable Contact, p == NULL without one. */
struct slice sip_contact_uri(const struct sip_msg *m);
/* A From or To value without its tag parameter, folds turned into spaces. */
void sip_addr_without_tag(const struct sip_addr *a, struct buf *b);
