/* SPDX-License-Identifier: Apache-2.0 */
/* Markup that may cross (XEP-0071 7, 8): what a stranger wrote is read by our own reader and written anew, from a white list. Out come
 * p br span(style) strong em a(href) ul ol li blockquote and nothing else; of styles color, font-family, -size, -style, -variant,
 * -weight and text-decoration, each value by its grammar; of links http, https, mailto, xmpp and sip, in visible US-ASCII. Any other
 * element goes and its text stays, but for scripts, styles, titles and frames. Pure, any thread.
 * The results are the inside of a <body/>: well-formed, legal XML, elements at most 16 deep, blocks in blocks only, no empty ones, at
 * most 64 KiB; made into the same again by either function. Empty: nothing is marked (the plain text says it all), or a limit was
 * reached: then only the plain text crosses, whole. They live in the arena. */
#pragma once
#include "base/arena.h"
#include "xmpp/xml.h"

/* Of text/html: UTF-8 tag soup of any depth. */
struct slice interwork_xhtml_from_html(struct arena *a, struct slice html);
/* Of the <html xmlns='http://jabber.org/protocol/xhtml-im'/> of a stanza: of its first body. Elements of foreign namespaces go with
 * all that they hold. */
struct slice interwork_xhtml_from_stanza(struct arena *a, const struct xml_node *html);
