/* SPDX-License-Identifier: Apache-2.0 */
#include <limits.h>
#include "xmpp/xml_build.h"

struct doc {
	XML_Parser parser;
	struct xml_builder b;
	size_t n_decls;
	enum xml_fault fault;
};

static void fail(struct doc *d, enum xml_fault f)
{
	if (f && !d->fault) {
		d->fault = f;
		XML_StopParser(d->parser, XML_FALSE);
	}
}

static void on_decl(void *arg, const XML_Char *prefix, const XML_Char *uri)
{
	struct doc *d = arg;
	(void)prefix;
	(void)uri;
	d->n_decls++;
}

static void on_start(void *arg, const XML_Char *name, const XML_Char **atts)
{
	struct doc *d = arg;
	if (d->fault)
		return;
	fail(d, xml_builder_start(&d->b, name, atts, d->n_decls));
	d->n_decls = 0;
}

static void on_end(void *arg, const XML_Char *name)
{
	struct doc *d = arg;
	bool done;
	(void)name;
	if (!d->fault)
		fail(d, xml_builder_end(&d->b, &done));
}

static void on_text(void *arg, const XML_Char *p, int len)
{
	struct doc *d = arg;
	if (!d->fault)
		fail(d, xml_builder_text(&d->b, p, (size_t)len));
}

static void on_doctype(void *arg, const XML_Char *name, const XML_Char *sysid, const XML_Char *pubid, int internal)
{
	(void)name;
	(void)sysid;
	(void)pubid;
	(void)internal;
	fail(arg, XML_FAULT_RESTRICTED);
}

int xml_parse(struct xml_node **ret, struct arena *a, struct slice doc, const struct xml_limits *lim, struct entente_err *err)
{
	if (doc.len > lim->max_bytes || doc.len > INT_MAX / 4)
		return err_set(err, ENTENTE_ELIMIT, REASON_XMPP_MALFORMED, "the document has %zu octets, %zu are allowed",
			doc.len, lim->max_bytes);
	struct xml_mem mem = {.max = xml_parser_memory(lim)};
	struct doc d = {.parser = xml_parser_new(&mem, NULL)};
	if (!d.parser)
		return err_set(err, ENTENTE_ELIMIT, REASON_XMPP_MALFORMED, "no memory for a parser");
	xml_builder_init(&d.b, lim);
	xml_builder_begin(&d.b, a);
	XML_SetUserData(d.parser, &d);
	XML_SetElementHandler(d.parser, on_start, on_end);
	XML_SetCharacterDataHandler(d.parser, on_text);
	XML_SetStartNamespaceDeclHandler(d.parser, on_decl);
	XML_SetStartDoctypeDeclHandler(d.parser, on_doctype);

	int rc = 0;
	struct xml_mem *before = xml_mem_enter(&mem);
	enum XML_Status st = XML_Parse(d.parser, doc.len ? doc.p : "", (int)doc.len, XML_TRUE);
	enum XML_Error e = st == XML_STATUS_OK ? XML_ERROR_NONE : XML_GetErrorCode(d.parser);
	if (d.fault == XML_FAULT_TOO_BIG || e == XML_ERROR_NO_MEMORY)
		rc = err_set(err, ENTENTE_ELIMIT, REASON_XMPP_MALFORMED,
			"the document exceeds a limit of depth, attributes, children or memory");
	else if (d.fault)
		rc = err_set(err, ENTENTE_ESYNTAX, REASON_XMPP_MALFORMED, "DOCTYPE is not allowed");
	else if (e)
		rc = err_set(err, ENTENTE_ESYNTAX, REASON_XMPP_MALFORMED, "%s at line %lu column %lu", XML_ErrorString(e),
			     (unsigned long)XML_GetCurrentLineNumber(d.parser),
				(unsigned long)XML_GetCurrentColumnNumber(d.parser));
	else
		*ret = d.b.root;
	XML_ParserFree(d.parser);
	xml_mem_leave(before);
	xml_builder_free(&d.b);
	return rc;
}
