/* SPDX-License-Identifier: Apache-2.0 */
/* All domains, ours and the partners', are keys of one map: that a domain has one owner is then one look-up. Everything but the
 * hash tables and two arrays lies in the snapshot's arena. */
#include "policy/snapshot.h"

#include "policy/federation_int.h"
#include "base/arena.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"

enum { ARENA_MAX = 1 << 29 };

struct owner {
	struct map_node node;
	const struct policy_partner *partner; /* NULL: local */
	uint32_t home;
};

struct snapshot {
	atomic_size_t refs;
	uint64_t generation;
	struct arena *arena;
	struct map domains, blocked;
	bool wild; /* some partner has all domains below one */
	bool both; /* some partner is reached by either network */
	struct policy_home *homes;
	size_t n_homes, cap_homes;
	const struct policy_partner **partners;
	size_t n_partners, cap_partners;
	struct policy_gateway gateway;
	struct federation *federation; /* owned */
	struct external *external;     /* owned */
};

struct snapshot_builder {
	struct snapshot *s;
};

const char *policy_transport_name(enum policy_transport t)
{
	return t == POLICY_UDP ? "udp" : t == POLICY_TCP ? "tcp" : "tls";
}

void policy_gateway_defaults(struct policy_gateway *g)
{
	*g = (struct policy_gateway){
		.negotiation = POLICY_STRICT, .connection_limit = 1000, .partner_connection_limit = 20, .xmpp_access = true};
}

static void destroy(struct snapshot *s)
{
	map_free(&s->domains);
	map_free(&s->blocked);
	federation_free(s->federation);
	mem_free(s->federation);
	external_free(s->external);
	mem_free(s->external);
	mem_free(s->homes);
	mem_free(s->partners);
	arena_release(NULL, s->arena);
	mem_free(s);
}

struct snapshot_builder *snapshot_builder_new(void)
{
	struct snapshot_builder *b = MEM_NEW(struct snapshot_builder);
	struct snapshot *s = b->s = MEM_NEW(struct snapshot);
	s->arena = arena_new(ARENA_MAX);
	map_init(&s->domains);
	map_init(&s->blocked);
	policy_gateway_defaults(&s->gateway);
	s->federation = MEM_NEW(struct federation);
	federation_init(s->federation);
	s->external = MEM_NEW(struct external);
	external_init(s->external);
	return b;
}

struct snapshot_builder *snapshot_builder_free(struct snapshot_builder *b)
{
	if (b) {
		destroy(b->s);
		mem_free(b);
	}
	return NULL;
}

struct snapshot *snapshot_of(struct snapshot_builder *b)
{
	return b->s;
}

struct federation *snapshot_federation(const struct snapshot *s)
{
	return s->federation;
}

struct external *snapshot_externals(const struct snapshot *s)
{
	return s->external;
}

struct arena *snapshot_arena(const struct snapshot *s)
{
	return s->arena;
}

bool snapshot_blocked_itself(const struct snapshot *s, struct slice domain)
{
	return map_find(&s->blocked, domain) != NULL;
}

static struct owner *owner_of(const struct snapshot *s, struct slice domain)
{
	struct map_node *n = map_find(&s->domains, domain);
	return n ? CONTAINER_OF(n, struct owner, node) : NULL;
}

static int taken(const struct snapshot *s, struct slice domain, const struct owner *o, struct entente_err *err)
{
	if (o->partner)
		return err_set(err, ENTENTE_EEXIST, REASON_NONE, "the domain %.*s belongs to the partner %.*s", SFMT(domain),
			       SFMT(o->partner->domain));
	return err_set(err, ENTENTE_EEXIST, REASON_NONE, "the domain %.*s is one of ours, on the home %.*s", SFMT(domain),
		       SFMT(s->homes[o->home].name));
}

/* Normalised copies of the domains in new owner records that are not in the map yet. */
static int owners_make(struct snapshot *s, struct owner *ret, const struct slice *in, size_t n, struct entente_err *err)
{
	for (size_t i = 0; i < n; i++) {
		struct policy_domain d;
		if (!policy_pattern_make(&d, in[i]))
			return err_set(err, ENTENTE_EINVAL, REASON_ADDRESS_MALFORMED, "'%.*s' is not a domain in A-labels",
				       SFMT(in[i]));
		const struct owner *o = owner_of(s, policy_domain_slice(&d));
		if (o)
			return taken(s, policy_domain_slice(&d), o, err);
		ret[i].node.key = arena_dup(s->arena, policy_domain_slice(&d));
		if (!ret[i].node.key.p)
			return err_set(err, ENTENTE_ELIMIT, REASON_LIMIT_SIZE, "the policy data is too large");
	}
	return 0;
}

/* Inserts; a domain named twice within `o` is kept once when it is the same owner's anyway. */
static size_t owners_insert(struct snapshot *s, struct owner *o, size_t n, struct slice *ret_domains)
{
	size_t kept = 0;
	for (size_t i = 0; i < n; i++) {
		if (owner_of(s, o[i].node.key))
			continue;
		map_insert(&s->domains, &o[i].node, o[i].node.key);
		s->wild |= o[i].node.key.p[0] == '*';
		ret_domains[kept++] = o[i].node.key;
	}
	return kept;
}

static bool copy(struct snapshot *s, struct slice *text)
{
	*text = arena_dup(s->arena, *text);
	return text->p;
}

int snapshot_builder_home(struct snapshot_builder *b, const struct policy_home *h, struct entente_err *err)
{
	struct snapshot *s = b->s;
	bool gap = slice_empty(h->name) && !h->n_domains && slice_empty(h->next_hop);
	if (!gap && (slice_empty(h->name) || !h->n_domains || slice_empty(h->next_hop)))
		return err_set(err, ENTENTE_EINVAL, REASON_NONE, "a home needs a name, a domain and a next hop");
	for (size_t i = 0; i < s->n_homes; i++)
		if (!gap && slice_eq(s->homes[i].name, h->name))
			return err_set(err, ENTENTE_EEXIST, REASON_NONE, "there are two homes named %.*s", SFMT(h->name));
	if (s->n_homes >= SNAPSHOT_HOMES_MAX || h->n_domains > ARENA_MAX / sizeof(struct owner) / 2)
		return err_set(err, ENTENTE_ELIMIT, REASON_LIMIT_SIZE, "too many homes or domains");
	struct policy_home home = *h;
	struct owner *o = arena_alloc(s->arena, (h->n_domains + 1) * sizeof *o);
	struct slice *domains = arena_alloc(s->arena, (h->n_domains + 1) * sizeof *domains);
	if (!o || !domains || !copy(s, &home.name) || !copy(s, &home.next_hop) || (home.site.len && !copy(s, &home.site)))
		return err_set(err, ENTENTE_ELIMIT, REASON_LIMIT_SIZE, "the policy data is too large");
	int rc = owners_make(s, o, h->domains, h->n_domains, err);
	if (rc)
		return rc;
	for (size_t i = 0; i < h->n_domains; i++)
		o[i].home = (uint32_t)s->n_homes;
	home.domains = domains;
	home.n_domains = owners_insert(s, o, h->n_domains, domains);
	if (s->n_homes == s->cap_homes) {
		s->cap_homes = s->cap_homes ? 2 * s->cap_homes : 4;
		s->homes = mem_realloc(s->homes, s->cap_homes * sizeof *s->homes);
	}
	s->homes[s->n_homes++] = home;
	return 0;
}

int snapshot_builder_partner(struct snapshot_builder *b, const struct policy_partner *in, struct entente_err *err)
{
	struct snapshot *s = b->s;
	if (s->n_partners >= SNAPSHOT_PARTNERS_MAX || in->n_additional > POLICY_ADDITIONAL_MAX ||
	    in->n_pins > POLICY_PINS_MAX)
		return err_set(err, ENTENTE_ELIMIT, REASON_LIMIT_SIZE, "too many partners or additional domains");
	size_t n = 1 + in->n_additional;
	struct policy_partner *p = ARENA_NEW(s->arena, struct policy_partner);
	struct owner *o = arena_alloc(s->arena, n * sizeof *o);
	struct slice *domains = arena_alloc(s->arena, n * sizeof *domains);
	if (!p || !o || !domains)
		return err_set(err, ENTENTE_ELIMIT, REASON_LIMIT_SIZE, "the policy data is too large");
	*p = *in;
	struct policy_pin *pins = arena_alloc(s->arena, (in->n_pins + 1) * sizeof *pins);
	if (!pins)
		return err_set(err, ENTENTE_ELIMIT, REASON_LIMIT_SIZE, "the policy data is too large");
	for (size_t i = 0; i < in->n_pins; i++)
		pins[i] = in->pins[i];
	p->pins = pins;
	if (!copy(s, &p->server_host) || !copy(s, &p->description))
		return err_set(err, ENTENTE_ELIMIT, REASON_LIMIT_SIZE, "the policy data is too large");
	domains[0] = in->domain;
	for (size_t i = 1; i < n; i++)
		domains[i] = in->additional[i - 1];
	int rc = owners_make(s, o, domains, n, err);
	if (rc)
		return rc;
	p->domain = o[0].node.key;
	for (size_t i = 0; i < n; i++)
		o[i].partner = p;
	p->n_additional = owners_insert(s, o, n, domains) - 1;
	p->additional = domains + 1;
	if (s->n_partners == s->cap_partners) {
		s->cap_partners = s->cap_partners ? 2 * s->cap_partners : 16;
		s->partners = mem_realloc(s->partners, s->cap_partners * sizeof *s->partners);
	}
	s->partners[s->n_partners++] = p;
	s->both |= p->protocol == POLICY_PROTOCOL_XMPP_FIRST || p->protocol == POLICY_PROTOCOL_SIP_FIRST;
	return 0;
}

int snapshot_builder_block(struct snapshot_builder *b, struct slice domain, struct entente_err *err)
{
	struct snapshot *s = b->s;
	struct policy_domain d;
	if (!policy_domain_make(&d, domain))
		return err_set(err, ENTENTE_EINVAL, REASON_ADDRESS_MALFORMED, "'%.*s' is not a domain in A-labels", SFMT(domain));
	if (map_find(&s->blocked, policy_domain_slice(&d)))
		return 0;
	struct map_node *n = ARENA_NEW(s->arena, struct map_node);
	struct slice key = arena_dup(s->arena, policy_domain_slice(&d));
	if (!n || !key.p)
		return err_set(err, ENTENTE_ELIMIT, REASON_LIMIT_SIZE, "the policy data is too large");
	map_insert(&s->blocked, n, key);
	return 0;
}

void snapshot_builder_gateway(struct snapshot_builder *b, const struct policy_gateway *g)
{
	b->s->gateway = *g;
}

static int by_domain(const void *a, const void *b)
{
	return slice_cmp((*(const struct policy_partner *const *)a)->domain, (*(const struct policy_partner *const *)b)->domain);
}

struct snapshot *snapshot_builder_freeze(struct snapshot_builder *b, uint64_t generation)
{
	struct snapshot *s = b->s;
	s->generation = generation;
	if (s->n_partners)
		qsort(s->partners, s->n_partners, sizeof *s->partners, by_domain);
	external_freeze(s->external, s);
	atomic_init(&s->refs, 1);
	mem_free(b);
	return s;
}

struct snapshot *snapshot_ref(struct snapshot *s)
{
	atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
	return s;
}

struct snapshot *snapshot_unref(struct snapshot *s)
{
	if (s && atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) == 1)
		destroy(s);
	return NULL;
}

uint64_t snapshot_generation(const struct snapshot *s)
{
	return s->generation;
}

const struct policy_gateway *snapshot_gateway(const struct snapshot *s)
{
	return &s->gateway;
}

size_t snapshot_home_count(const struct snapshot *s)
{
	return s->n_homes;
}

const struct policy_home *snapshot_home(const struct snapshot *s, size_t index)
{
	return &s->homes[index];
}

/* The label before a dot becomes the asterisk: the nearest pattern wins, and a domain that is named wins over all. */
static const struct policy_partner *by_pattern(const struct snapshot *s, const struct policy_domain *domain)
{
	struct policy_domain d = *domain;
	struct slice rest = policy_domain_slice(&d);
	for (slice_split(&rest, '.'); !slice_empty(rest); slice_split(&rest, '.')) {
		char *star = d.text + (rest.p - d.text) - 2;
		*star = '*';
		const struct owner *o = owner_of(s, slice_of(star, rest.len + 2));
		if (o)
			return o->partner;
	}
	return NULL;
}

struct policy_whose snapshot_whose(const struct snapshot *s, const struct policy_domain *domain)
{
	const struct owner *o = owner_of(s, policy_domain_slice(domain));
	if (o)
		return (struct policy_whose){!o->partner, o->partner ? UINT32_MAX : o->home, o->partner};
	const struct policy_partner *p = s->wild ? by_pattern(s, domain) : NULL;
	return (struct policy_whose){.home = UINT32_MAX, .partner = p};
}

bool snapshot_local(const struct snapshot *s, struct slice domain, uint32_t *ret_home)
{
	struct policy_domain d;
	struct policy_whose w = {0};
	if (policy_domain_make(&d, domain))
		w = snapshot_whose(s, &d);
	if (w.ours && ret_home)
		*ret_home = w.home;
	return w.ours;
}

bool snapshot_has_both(const struct snapshot *s)
{
	return s->both;
}

size_t snapshot_partner_count(const struct snapshot *s)
{
	return s->n_partners;
}

const struct policy_partner *snapshot_partner_at(const struct snapshot *s, size_t index)
{
	return s->partners[index];
}

const struct policy_partner *snapshot_partner(const struct snapshot *s, struct slice domain)
{
	struct policy_domain d;
	return policy_domain_make(&d, domain) ? snapshot_whose(s, &d).partner : NULL;
}

struct slice snapshot_blocked(const struct snapshot *s, struct slice domain)
{
	struct policy_domain d;
	if (!s->blocked.count || !policy_domain_make(&d, domain))
		return SLICE_NONE;
	for (struct slice rest = policy_domain_slice(&d); !slice_empty(rest); slice_split(&rest, '.')) {
		const struct map_node *n = map_find(&s->blocked, rest);
		if (n)
			return n->key;
	}
	return SLICE_NONE;
}

static int by_octets(const void *a, const void *b)
{
	return slice_cmp(*(const struct slice *)a, *(const struct slice *)b);
}

void snapshot_each_block(const struct snapshot *s, void (*fn)(void *, struct slice), void *arg)
{
	struct slice *all = mem_calloc(s->blocked.count + 1, sizeof *all);
	size_t i, n_all = 0;
	MAP_EACH(n, &s->blocked, i)
		all[n_all++] = n->key;
	qsort(all, n_all, sizeof *all, by_octets);
	for (i = 0; i < n_all; i++)
		fn(arg, all[i]);
	mem_free(all);
}
