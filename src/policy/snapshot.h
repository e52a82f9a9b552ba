/* SPDX-License-Identifier: Apache-2.0 */
/* One immutable generation of all policy data: homes with their local domains, XMPP partners, blocked domains, gateway
 * settings, SIP federation (policy/federation.h), external access policies and users (policy/external.h). A builder (one thread) collects and freezes it; from then on any thread may read it while it holds a
 * reference. The application publishes generations through a slot; each unit of work uses one snapshot from start to end,
 * so a change never falls between two questions about one message. */
#pragma once
#include <pthread.h>
#include <stdatomic.h>
#include "base/err.h"
#include "policy/partner.h"

struct snapshot;
struct snapshot_builder;

/* Same order as enum sip_transport. */
enum policy_transport { POLICY_UDP, POLICY_TCP, POLICY_TLS };
const char *policy_transport_name(enum policy_transport t); /* "udp" "tcp" "tls" */

/* A SIP server of ours. All empty: a gap, the place of one that was removed, so that the others keep their index. */
struct policy_home {
	struct slice name;
	struct slice next_hop;           /* a SIP URI, e.g. "sip:10.0.0.5:5060;transport=tcp" */
	enum policy_transport transport; /* what next_hop says */
	const struct slice *domains;    /* the local domains that it serves */
	size_t n_domains;
	struct slice site;              /* of its users (policy/external.h); may be empty */
};

/* What holds for all partners. */
struct policy_gateway {
	enum policy_negotiation_mode negotiation; /* default strict */
	uint32_t connection_limit;                /* all partners together, default 1000 */
	uint32_t partner_connection_limit;        /* default 20; struct policy_partner may override */
	bool xmpp_access; /* the organisation's switch for XMPP, default true: partners and external access policies are the gates */
};
void policy_gateway_defaults(struct policy_gateway *g);

/* ---- building ---- */
enum { SNAPSHOT_HOMES_MAX = 1024, SNAPSHOT_PARTNERS_MAX = 100000 };

struct snapshot_builder *snapshot_builder_new(void);
/* Accepts NULL; returns NULL. Not after freeze. */
struct snapshot_builder *snapshot_builder_free(struct snapshot_builder *b);

/* Each copies its argument. Domains are normalised (policy/domain.h). A call that fails adds nothing, and the builder can
 * go on. ENTENTE_EINVAL: malformed; ENTENTE_EEXIST: the name or a domain belongs to another home, partner or is one of
 * ours (err says whose); ENTENTE_ELIMIT: too many. Homes must be added before partners, so that a conflict is laid to the
 * partner. */
int snapshot_builder_home(struct snapshot_builder *b, const struct policy_home *h, struct entente_err *err);
int snapshot_builder_partner(struct snapshot_builder *b, const struct policy_partner *p, struct entente_err *err);
/* Blocks the domain and all its subdomains. Blocking one twice is harmless. */
int snapshot_builder_block(struct snapshot_builder *b, struct slice domain, struct entente_err *err);
void snapshot_builder_gateway(struct snapshot_builder *b, const struct policy_gateway *g);

/* Consumes the builder; the caller gets the first reference. `generation` is the caller's number for this state. */
struct snapshot *snapshot_builder_freeze(struct snapshot_builder *b, uint64_t generation);

/* ---- references: any thread ---- */
struct snapshot *snapshot_ref(struct snapshot *s);
/* Accepts NULL; returns NULL. The last reference frees. */
struct snapshot *snapshot_unref(struct snapshot *s);

/* ---- reading: what is returned lives as long as the snapshot. Domains are compared without case; a name that is not
 * an A-label domain is simply not found. One hash lookup each. ---- */
uint64_t snapshot_generation(const struct snapshot *s);
const struct policy_gateway *snapshot_gateway(const struct snapshot *s);

size_t snapshot_home_count(const struct snapshot *s);
const struct policy_home *snapshot_home(const struct snapshot *s, size_t index); /* index < count, in the order of adding */
/* Whose domain it is. */
struct policy_whose {
	bool ours;
	uint32_t home;                         /* UINT32_MAX when it is not ours */
	const struct policy_partner *partner;  /* as snapshot_partner */
};
struct policy_whose snapshot_whose(const struct snapshot *s, const struct policy_domain *domain);
/* False when the domain is not ours. ret_home may be NULL. */
bool snapshot_local(const struct snapshot *s, struct slice domain, uint32_t *ret_home);

/* Is there a partner that is reached by either network, the one first and then the other? */
bool snapshot_has_both(const struct snapshot *s);
size_t snapshot_partner_count(const struct snapshot *s);
const struct policy_partner *snapshot_partner_at(const struct snapshot *s, size_t index); /* sorted by domain */
/* By the partner's domain or one of its additional domains, patterns last; NULL when unknown. */
const struct policy_partner *snapshot_partner(const struct snapshot *s, struct slice domain);

/* The longest blocked suffix of the domain; p == NULL when it is not blocked. */
struct slice snapshot_blocked(const struct snapshot *s, struct slice domain);
/* Each blocked domain once, in the order of their octets: the same policy is told the same way. */
void snapshot_each_block(const struct snapshot *s, void (*fn)(void *arg, struct slice domain), void *arg);

/* ---- the slot: where the application keeps the present generation ---- */
struct snapshot_slot {
	pthread_mutex_t lock;
	struct snapshot *current; /* owned reference, under lock */
	_Atomic uint64_t version; /* changes with every publish */
};

/* `first` may be NULL; the slot takes its own reference. */
void snapshot_slot_init(struct snapshot_slot *slot, struct snapshot *first);
void snapshot_slot_destroy(struct snapshot_slot *slot);
/* Any thread. The slot takes its own reference; readers that hold the old generation finish with it. */
void snapshot_slot_publish(struct snapshot_slot *slot, struct snapshot *s);
/* Any thread. A reference that the caller gives back with snapshot_unref; NULL when nothing was published. */
struct snapshot *snapshot_slot_acquire(struct snapshot_slot *slot);

/* A reader belongs to one thread and keeps a reference to the last generation that it saw: the common case is one atomic load,
 * no lock. What snapshot_reader_get returns is borrowed and valid until the next get or destroy on the same reader. */
struct snapshot_reader {
	struct snapshot_slot *slot;
	struct snapshot *held;
	uint64_t version;
};

void snapshot_reader_init(struct snapshot_reader *r, struct snapshot_slot *slot);
void snapshot_reader_destroy(struct snapshot_reader *r);
struct snapshot *snapshot_reader_get(struct snapshot_reader *r);
