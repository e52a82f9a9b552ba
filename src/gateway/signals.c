/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/conversation.h"

void signals_free(struct conversation *c)
{
	(void)c;
}

void signals_from_xmpp(struct gateway *g, struct conversation *c, const struct stanza *st, const struct interwork_im_verdict *v)
{
	(void)g, (void)c, (void)st, (void)v;
}

void signals_text_out(struct gateway *g, struct conversation *c, struct outgoing *o)
{
	(void)g, (void)c, (void)o;
}

void signals_text_done(struct gateway *g, struct conversation *c, const struct outgoing *o, int status, enum reason reason)
{
	(void)g, (void)c, (void)o, (void)status, (void)reason;
}

void signals_carried(struct gateway *g, struct conversation *c, struct slice content_type, int status)
{
	(void)g, (void)c, (void)content_type, (void)status;
}

bool signals_from_sip(struct gateway *g, struct conversation *c, const struct incoming *in, const struct interwork_im_verdict *v)
{
	(void)g, (void)c, (void)in, (void)v;
	return false;
}

int signals_info(struct gateway *g, struct conversation *c, struct slice content_type, struct slice body)
{
	(void)g, (void)c, (void)content_type, (void)body;
	return 200;
}

void signals_text_in(struct gateway *g, struct conversation *c, const struct incoming *in, const struct interwork_im_verdict *v,
		     struct slice stanza_id)
{
	(void)g, (void)c, (void)in, (void)v, (void)stanza_id;
}

void signals_error_late(struct gateway *g, struct conversation *c, const struct stanza *st)
{
	(void)g, (void)c, (void)st;
}

void signals_session_over(struct gateway *g, struct conversation *c, bool by_sip)
{
	(void)g, (void)c, (void)by_sip;
}

bool signals_gone(const struct stanza *st)
{
	return xml_child(st->node, S("gone"), S("http://jabber.org/protocol/chatstates")) != NULL;
}
