/* SPDX-License-Identifier: Apache-2.0 */
/* Contacts in the daemon: the gateways of the workers and the Access Edge each have their own, and the database has all. A domain that is not
 * ASCII is in U-labels on the XMPP side and in A-labels on the SIP side; either may have written the row. */
#include "app/facts.h"

#include "app/node_int.h"
#include "store/store_federation.h"
#include "xmpp/jid.h"

static bool plain(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.p[i] & 0x80)
			return false;
	return slice_find(s, S("xn--")) < 0;
}

/* As the gateway and as the Access Edge write it. */
static void forms(struct arena *a, struct slice bare, struct slice *ret_xmpp, struct slice *ret_sip)
{
	struct xmpp_jid j;
	struct slice ascii;
	*ret_xmpp = *ret_sip = bare;
	if (plain(bare) || xmpp_jid_parse(&j, a, bare) || xmpp_domain_ascii(a, j.domain, &ascii))
		return;
	*ret_xmpp = j.bare;
	*ret_sip = j.local.len ? ARENA_JOIN(a, j.local, S("@"), ascii) : ascii;
}

struct pair {
	struct app *app;
	struct arena *a;
	struct slice local_xmpp, remote_xmpp, local_sip, remote_sip;
	bool there, known;
};

static struct pair pair_of(struct app *app, struct slice local, struct slice remote)
{
	struct pair p = {.app = app, .a = arena_new(1 << 18)};
	forms(p.a, local, &p.local_xmpp, &p.local_sip);
	forms(p.a, remote, &p.remote_xmpp, &p.remote_sip);
	return p;
}

void app_contact_loaded(struct slice local, struct slice remote, bool xmpp, void (*fn)(void *arg, struct slice local, struct slice remote), void *arg)
{
	struct pair p;
	if (plain(local) && plain(remote)) {
		fn(arg, local, remote);
		return;
	}
	p = pair_of(NULL, local, remote);
	fn(arg, xmpp ? p.local_xmpp : p.local_sip, xmpp ? p.remote_xmpp : p.remote_sip);
	arena_release(NULL, p.a);
}

static void known_node(struct node *n, void *arg)
{
	struct pair *p = arg;
	p->known = p->known || (n->gateway && gateway_knows_contact(n->gateway, p->local_xmpp, p->remote_xmpp));
}

bool facts_contact(struct app *app, struct slice local_bare, struct slice remote_bare)
{
	struct pair p = pair_of(app, local_bare, remote_bare);
	bool yes = (app->access_shared && access_contact_known(app->access_shared, p.local_sip, p.remote_sip)) ||
		   (nodes_call(app, known_node, &p) && p.known);
	arena_release(NULL, p.a);
	return yes;
}

static void set_node(struct node *n, void *arg)
{
	const struct pair *p = arg;
	if (!n->gateway)
		return;
	if (!p->there)
		gateway_forget_contact(n->gateway, p->local_xmpp, p->remote_xmpp);
	else if (pool_pick(n->app->pool, p->local_xmpp) == n->worker)
		gateway_load_contact(n->gateway, p->local_xmpp, p->remote_xmpp);
}

static int in_store(const struct pair *p, bool sip, struct slice who, struct entente_err *err)
{
	struct slice local = sip ? p->local_sip : p->local_xmpp, remote = sip ? p->remote_sip : p->remote_xmpp;
	struct store_wait w;
	store_wait_init(&w);
	int rc = p->there ? store_contact_add(p->app->store, local, remote, who, store_wait_done, &w)
			  : store_contact_remove(p->app->store, local, remote, who, store_wait_done, &w);
	return rc ? err_set(err, rc, REASON_NONE, "%s", entente_strerror(rc)) : store_wait(&w, err);
}

int facts_contact_set(struct app *app, struct slice local_bare, struct slice remote_bare, bool there, struct slice who, struct entente_err *err)
{
	struct pair p = pair_of(app, local_bare, remote_bare);
	bool two = !slice_eq(p.local_sip, p.local_xmpp) || !slice_eq(p.remote_sip, p.remote_xmpp);
	p.there = there;
	int rc = in_store(&p, false, who, err);
	if (!there && two) { /* either side may have learned it, or both */
		int other = in_store(&p, true, who, rc ? err : NULL);
		rc = rc == ENTENTE_ENOTFOUND ? other : rc;
	}
	if (!rc) {
		if (app->access_shared && there)
			access_contact_learn(app->access_shared, p.local_sip, p.remote_sip);
		else if (app->access_shared)
			access_contact_forget(app->access_shared, p.local_sip, p.remote_sip);
		nodes_call(app, set_node, &p);
	}
	arena_release(NULL, p.a);
	return rc;
}
