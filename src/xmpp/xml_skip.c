/* SPDX-License-Identifier: Apache-2.0 */
#include "xmpp/xml_skip.h"

enum { TEXT, LT, START, SLASH, APOS, QUOT, END, BANG, CDATA };

static const char cdata_open[] = "[CDATA[";

void xml_skip_begin(struct xml_skip *k, size_t depth, bool cdata)
{
	*k = (struct xml_skip){.depth = depth, .state = cdata ? CDATA : TEXT};
}

static enum xml_fault after_lt(struct xml_skip *k, char c)
{
	switch (c) {
	case '/':
		k->state = END;
		return XML_FAULT_NONE;
	case '!':
		k->state = BANG;
		k->matched = 0;
		return XML_FAULT_NONE;
	case '?':
		return XML_FAULT_RESTRICTED;
	case '<': case '>': case ' ': case '\t': case '\r': case '\n': case '"': case '\'':
		return XML_FAULT_NOT_WELL_FORMED;
	default:
		k->state = START;
		return XML_FAULT_NONE;
	}
}

/* <![CDATA[ is the only thing that may begin with <! */
static enum xml_fault after_bang(struct xml_skip *k, char c)
{
	if (c != cdata_open[k->matched])
		return XML_FAULT_RESTRICTED;
	if (!cdata_open[++k->matched]) {
		k->state = CDATA;
		k->matched = 0; /* closing brackets now */
	}
	return XML_FAULT_NONE;
}

static enum xml_fault step(struct xml_skip *k, char c)
{
	switch (k->state) {
	case TEXT:
		if (c == '<')
			k->state = LT;
		return XML_FAULT_NONE;
	case LT:
		return after_lt(k, c);
	case START:
		if (c == '>') {
			k->depth++;
			k->state = TEXT;
		}
		k->state = c == '/' ? SLASH : c == '\'' ? APOS : c == '"' ? QUOT : k->state;
		return c == '<' ? XML_FAULT_NOT_WELL_FORMED : XML_FAULT_NONE;
	case SLASH:
		k->state = TEXT;
		return c == '>' ? XML_FAULT_NONE : XML_FAULT_NOT_WELL_FORMED;
	case APOS:
	case QUOT:
		if (c == (k->state == APOS ? '\'' : '"'))
			k->state = START;
		return c == '<' ? XML_FAULT_NOT_WELL_FORMED : XML_FAULT_NONE;
	case END:
		if (c == '>') {
			k->depth--;
			k->state = TEXT;
		}
		return c == '<' ? XML_FAULT_NOT_WELL_FORMED : XML_FAULT_NONE;
	case BANG:
		return after_bang(k, c);
	default:
		if (c == '>' && k->matched >= 2)
			k->state = TEXT;
		k->matched = c != ']' ? 0 : k->matched < 2 ? (unsigned char)(k->matched + 1) : 2;
		return XML_FAULT_NONE;
	}
}

enum xml_fault xml_skip_feed(struct xml_skip *k, struct slice in, size_t *ret_used)
{
	enum xml_fault f = XML_FAULT_NONE;
	size_t i = 0;
	while (i < in.len && k->depth && !f)
		f = step(k, in.p[i++]);
	*ret_used = i;
	return f;
}
