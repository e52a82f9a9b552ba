/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/lync_file.h"

#include <expat.h>
#include <unicode/ucnv.h>
#include "base/buf.h"
#include "base/mem.h"

/* "Deserialized.Microsoft.Rtc...XmppAllowedPartner#Decorated" -> "XmppAllowedPartner" */
static struct slice type_name(struct slice t)
{
	ptrdiff_t i = slice_find_chr(t, '#');
	if (i >= 0)
		t = slice_first(t, (size_t)i);
	while ((i = slice_find_chr(t, '.')) >= 0)
		t = slice_skip(t, (size_t)i + 1);
	return slice_trim(t);
}

static json_t *text_json(struct slice s)
{
	json_t *j = json_stringn(s.p ? s.p : "", s.len);
	return j ? j : json_string("?"); /* not UTF-8 */
}

static int limit(struct entente_err *err, const char *what)
{
	return err_set(err, ENTENTE_ELIMIT, REASON_NONE, "too much to be an export of a federation's settings: %s", what);
}

/* ---- Export-Clixml: <Objs><Obj><TN><T>type</T></TN><Props><S N="Identity">...</S> <Obj N="..."><LST><S>...</S></LST></Obj> ---- */
struct clixml {
	json_t *objects, *object, *list;
	json_t *types;                /* by their RefId: the next object of the same type only refers to it */
	XML_Parser parser;
	struct buf text, name;
	unsigned depth, object_depth; /* object_depth: of the object's own element */
	unsigned value_depth;         /* of the property that is being read; 0: none */
	bool typed, in_type, is_list, spoken;
	char type_ref[16];
	size_t n;
	int rc;
	struct entente_err *err;
};

static void stop(struct clixml *x, int rc)
{
	x->rc = rc;
	XML_StopParser(x->parser, XML_FALSE);
}

static const char *attribute(const char **atts, const char *name)
{
	for (; *atts; atts += 2)
		if (slice_eq(slice_str(*atts), slice_str(name)))
			return atts[1];
	return NULL;
}

static void XMLCALL on_start(void *arg, const char *element, const char **atts)
{
	struct clixml *x = arg;
	struct slice e = slice_str(element);
	const char *n = attribute(atts, "N");
	if (++x->depth > LYNC_DEPTH_MAX) {
		stop(x, limit(x->err, "elements are nested too deeply"));
		return;
	}
	buf_clear(&x->text);
	if (!x->object) {
		if (!slice_eq(e, S("Obj")))
			return;
		if (++x->n > LYNC_OBJECTS_MAX) {
			stop(x, limit(x->err, "too many objects"));
			return;
		}
		x->object = json_pack("{s:s}", "#type", "");
		x->object_depth = x->depth;
		x->typed = false;
	} else if (!x->value_depth && (slice_eq(e, S("TN")) || slice_eq(e, S("TNRef")))) {
		const char *ref = attribute(atts, "RefId");
		json_t *known = ref ? json_object_get(x->types, ref) : NULL;
		slice_cstr(slice_str(ref), x->type_ref, sizeof x->type_ref);
		if (known && slice_eq(e, S("TNRef")))
			json_object_set(x->object, "#type", known);
	} else if (slice_eq(e, S("T")) && !x->typed && !x->value_depth) {
		x->in_type = true;
	} else if (n && !x->value_depth && x->depth == x->object_depth + 2) {
		x->value_depth = x->depth;
		x->is_list = x->spoken = false;
		buf_clear(&x->name);
		buf_puts(&x->name, n);
		buf_putc(&x->name, 0);
	} else if (x->value_depth && slice_eq(e, S("LST"))) {
		x->is_list = true;
		if (!x->list)
			x->list = json_array();
	}
}

/* _x000A_ is a character that XML or the serialiser would not keep. */
static void unescape(struct buf *out, struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned v = 0;
		size_t k = 2;
		if (s.len - i >= 7 && s.p[i] == '_' && s.p[i + 1] == 'x' && s.p[i + 6] == '_')
			for (; k < 6; k++) {
				char c = s.p[i + k];
				if (c >= '0' && c <= '9')
					v = v * 16 + (unsigned)(c - '0');
				else if ((c | 32) >= 'a' && (c | 32) <= 'f')
					v = v * 16 + (unsigned)((c | 32) - 'a' + 10);
				else
					break;
			}
		if (k == 6 && v && v < 0x80) {
			buf_putc(out, (char)v);
			i += 6;
		} else {
			buf_putc(out, s.p[i]);
		}
	}
}

static json_t *scalar(const char *element, struct slice text)
{
	struct slice e = slice_str(element);
	uint64_t v;
	if (slice_eq(e, S("Nil")))
		return json_null();
	if (slice_eq(e, S("B")))
		return json_boolean(slice_ieq(text, S("true")));
	if ((slice_eq(e, S("U32")) || slice_eq(e, S("I32")) || slice_eq(e, S("U64")) || slice_eq(e, S("I64"))) && slice_u64(text, INT64_MAX, &v))
		return json_integer((json_int_t)v);
	struct buf b;
	buf_init(&b, LYNC_VALUE_MAX);
	unescape(&b, text);
	json_t *j = text_json(buf_slice(&b));
	buf_free(&b);
	return j;
}

/* A property that is an object itself: an enumeration says its name in ToString before its number. */
static void inner(struct clixml *x, const char *element)
{
	struct slice e = slice_str(element);
	if (x->is_list && x->depth == x->value_depth + 2 && json_array_size(x->list) < LYNC_LIST_MAX) {
		if (!slice_eq(e, S("Obj")))
			json_array_append_new(x->list, scalar(element, buf_slice(&x->text)));
	} else if (x->is_list && x->depth == x->value_depth + 3 && slice_eq(e, S("ToString"))) {
		if (json_array_size(x->list) < LYNC_LIST_MAX)
			json_array_append_new(x->list, scalar("S", buf_slice(&x->text)));
	} else if (x->depth == x->value_depth + 1 && slice_eq(e, S("ToString"))) {
		json_object_set_new(x->object, buf_slice(&x->name).p, scalar("S", buf_slice(&x->text)));
		x->spoken = true;
	}
}

static void XMLCALL on_end(void *arg, const char *element)
{
	struct clixml *x = arg;
	if (x->in_type) {
		x->in_type = false;
		x->typed = true;
		json_object_set_new(x->object, "#type", text_json(type_name(buf_slice(&x->text))));
		json_object_set(x->types, x->type_ref, json_object_get(x->object, "#type"));
	} else if (x->value_depth && x->depth > x->value_depth) {
		inner(x, element);
	} else if (x->value_depth && x->depth == x->value_depth) {
		const char *name = buf_slice(&x->name).p;
		if (x->is_list)
			json_object_set(x->object, name, x->list);
		else if (!x->spoken)
			json_object_set_new(x->object, name, slice_eq(slice_str(element), S("Obj")) ? json_null() : scalar(element, buf_slice(&x->text)));
		json_decref(x->list);
		x->list = NULL;
		x->value_depth = 0;
	} else if (x->object && x->depth == x->object_depth) {
		json_array_append_new(x->objects, x->object);
		x->object = NULL;
	}
	buf_clear(&x->text);
	x->depth--;
}

static void XMLCALL on_text(void *arg, const char *s, int len)
{
	struct clixml *x = arg;
	buf_put(&x->text, slice_of(s, (size_t)len));
	if (!buf_ok(&x->text))
		stop(x, limit(x->err, "a value is too long"));
}

static void XMLCALL on_doctype(void *arg, const char *name, const char *sysid, const char *pubid, int internal)
{
	struct clixml *x = arg;
	(void)name, (void)sysid, (void)pubid, (void)internal;
	stop(x, err_set(x->err, ENTENTE_ESYNTAX, REASON_NONE, "a document type declaration does not belong into an export"));
}

static int read_clixml(json_t *objects, struct slice s, struct entente_err *err)
{
	struct clixml x = {.objects = objects, .err = err, .parser = XML_ParserCreate("UTF-8"), .types = json_object()};
	buf_init(&x.text, LYNC_VALUE_MAX);
	buf_init(&x.name, LYNC_VALUE_MAX);
	XML_SetUserData(x.parser, &x);
	XML_SetElementHandler(x.parser, on_start, on_end);
	XML_SetCharacterDataHandler(x.parser, on_text);
	XML_SetStartDoctypeDeclHandler(x.parser, on_doctype);
	if (XML_Parse(x.parser, s.p, (int)s.len, 1) != XML_STATUS_OK && !x.rc)
		x.rc = err_set(err, ENTENTE_ESYNTAX, REASON_NONE, "line %lu: %s", (unsigned long)XML_GetCurrentLineNumber(x.parser),
			       XML_ErrorString(XML_GetErrorCode(x.parser)));
	XML_ParserFree(x.parser);
	json_decref(x.object);
	json_decref(x.list);
	json_decref(x.types);
	buf_free(&x.text);
	buf_free(&x.name);
	return x.rc;
}

/* ---- ConvertTo-Json ---- */
static void take_json(json_t *objects, json_t *o)
{
	json_t *copy = json_copy(o);
	const char *type = json_string_value(json_object_get(o, "TypeName"));
	json_object_set_new(copy, "#type", text_json(type_name(slice_str(type ? type : ""))));
	json_array_append_new(objects, copy);
}

static int read_json(json_t *objects, struct slice s, struct entente_err *err)
{
	json_error_t e;
	json_t *root = json_loadb(s.p, s.len, JSON_REJECT_DUPLICATES, &e), *one;
	size_t i;
	int rc = 0;
	if (!root)
		return err_set(err, ENTENTE_ESYNTAX, REASON_NONE, "line %d, column %d: %s", e.line, e.column, e.text);
	if (json_is_object(root))
		take_json(objects, root);
	else if (json_array_size(root) > LYNC_OBJECTS_MAX)
		rc = limit(err, "too many objects");
	else
		json_array_foreach(root, i, one) {
			if (json_is_object(one))
				take_json(objects, one);
			else if (!rc)
				rc = err_set(err, ENTENTE_ESYNTAX, REASON_NONE, "element %zu is no object", i + 1);
		}
	json_decref(root);
	return rc;
}

/* ---- Export-Csv: "#TYPE ..." (Windows PowerShell), a line of names, a line per object; RFC 4180 quoting ---- */
struct csv {
	struct slice rest;
	unsigned line, opened; /* opened: where the field began */
	struct buf field;
	bool last; /* of its record */
};

/* False at the end of the text or (rc set) where quotes do not match. */
static bool csv_field(struct csv *c, int *rc, struct entente_err *err)
{
	size_t i = 0;
	buf_clear(&c->field);
	if (!c->rest.len)
		return false;
	bool quoted = c->rest.p[0] == '"';
	c->opened = c->line;
	for (i = quoted; i < c->rest.len; i++) {
		char ch = c->rest.p[i];
		if (quoted && ch == '"') {
			if (i + 1 < c->rest.len && c->rest.p[i + 1] == '"') {
				i++;
			} else {
				quoted = false;
				continue;
			}
		} else if (!quoted && (ch == ',' || ch == '\n')) {
			break;
		}
		c->line += ch == '\n';
		if (ch != '\r' || quoted)
			buf_putc(&c->field, ch);
	}
	if (quoted || !buf_ok(&c->field)) {
		*rc = quoted ? err_set(err, ENTENTE_ESYNTAX, REASON_NONE, "line %u: a quotation mark is never closed", c->opened) : limit(err, "a value is too long");
		return false;
	}
	c->last = i >= c->rest.len || c->rest.p[i] == '\n';
	c->line += i < c->rest.len && c->rest.p[i] == '\n';
	c->rest = slice_skip(c->rest, i + 1);
	return true;
}

static json_t *csv_value(struct slice s)
{
	uint64_t v;
	if (slice_ieq(s, S("true")) || slice_ieq(s, S("false")))
		return json_boolean(slice_ieq(s, S("true")));
	return slice_u64(s, INT64_MAX, &v) ? json_integer((json_int_t)v) : text_json(s);
}

static int read_csv(json_t *objects, struct slice s, struct entente_err *err)
{
	struct csv c = {.rest = s, .line = 1};
	struct slice type = SLICE_NONE;
	json_t *names = json_array(), *object = NULL;
	size_t at = 0, n = 0;
	unsigned began = 0; /* line of the object */
	int rc = 0;
	buf_init(&c.field, LYNC_VALUE_MAX);
	if (slice_istarts(c.rest, S("#TYPE "))) {
		type = type_name(slice_trim(slice_skip(slice_split(&c.rest, '\n'), 6)));
		c.line++;
	}
	for (bool more = true; more && csv_field(&c, &rc, err); more = !c.last)
		json_array_append_new(names, text_json(buf_slice(&c.field)));
	for (unsigned line = c.line; !rc && csv_field(&c, &rc, err); line = c.line) {
		const char *name = json_string_value(json_array_get(names, at));
		if (!object) {
			if (c.last && !buf_slice(&c.field).len) /* an empty line */
				continue;
			began = line;
			object = json_object();
			json_object_set_new(object, "#type", text_json(type));
		}
		if (!name)
			rc = err_set(err, ENTENTE_ESYNTAX, REASON_NONE, "line %u: more values than names", began);
		else
			json_object_set_new(object, name, csv_value(buf_slice(&c.field)));
		at++;
		if (rc || !c.last)
			continue;
		if (at != json_array_size(names))
			rc = err_set(err, ENTENTE_ESYNTAX, REASON_NONE, "line %u: %zu values for %zu names", began, at, json_array_size(names));
		else if (++n > LYNC_OBJECTS_MAX)
			rc = limit(err, "too many objects");
		else
			json_array_append(objects, object);
		json_decref(object);
		object = NULL;
		at = 0;
	}
	json_decref(object);
	json_decref(names);
	buf_free(&c.field);
	return rc;
}

/* ---- */

/* UTF-16 is what Windows PowerShell writes by default. */
static char *from_utf16(struct slice s, size_t *ret_len)
{
	UErrorCode e = U_ZERO_ERROR;
	bool little = (unsigned char)s.p[0] == 0xff;
	size_t cap = s.len * 2 + 4;
	char *out = mem_calloc(1, cap);
	int32_t n = ucnv_convert("UTF-8", little ? "UTF-16LE" : "UTF-16BE", out, (int32_t)cap, s.p + 2, (int32_t)(s.len - 2), &e);
	*ret_len = U_SUCCESS(e) ? (size_t)n : 0;
	return out;
}

int lync_file_read(json_t *objects, struct slice s, struct entente_err *err)
{
	char *wide = NULL;
	int rc;
	if (s.len > LYNC_FILE_MAX)
		return limit(err, "the file is larger than 16 MiB");
	if (s.len >= 2 && (slice_starts(s, S("\xff\xfe")) || slice_starts(s, S("\xfe\xff")))) {
		size_t n;
		wide = from_utf16(s, &n);
		s = slice_of(wide, n);
	} else if (slice_starts(s, S("\xef\xbb\xbf"))) {
		s = slice_skip(s, 3);
	}
	struct slice t = slice_trim(s);
	if (!t.len)
		rc = err_set(err, ENTENTE_ESYNTAX, REASON_NONE, "the file is empty");
	else if (t.p[0] == '<')
		rc = read_clixml(objects, t, err);
	else if (t.p[0] == '[' || t.p[0] == '{')
		rc = read_json(objects, t, err);
	else
		rc = read_csv(objects, t, err);
	mem_free(wide);
	return rc;
}
