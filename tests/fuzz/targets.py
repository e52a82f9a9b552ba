# SPDX-License-Identifier: Apache-2.0
"""What there is to fuzz: for each target a few words, the files of src/ that it is there for, and where its first inputs come from beside
corpus/<name>. `run --coverage` proves that a target reaches the files it names: a target that stops short of its code is a failure."""

# name: (kind of input, what is checked beside crashes, files of src/ that it is for)
TARGETS = {
    "access_proxy": ("SIP message", "what leaves has no trust headers; nothing is left at the end", ["edge/access_proxy.c", "edge/access_headers.c", "edge/access_hide.c"]),
    "address": ("URI, JID", "a URI that became a JID comes back", ["interwork/address.c"]),
    "bundle": ("import files", "a certificate and key come out whole or not at all", ["plan/bundle.c"]),
    "certificate": ("certificates", "facts lie where they say", ["net/tls_peer.c"]),
    "config": ("configuration", "what is printed loads to the same", ["config/load.c", "config/node.c", "config/value.c", "config/check.c", "config/dump.c", "config/errors.c"]),
    "cpim": ("CPIM, IMDN", "what was read, written, is read the same", ["interwork/cpim.c", "interwork/imdn.c"]),
    "config_edit": ("configuration", "one key changes and no other; twice is once", ["config/edit.c", "config/dump.c"]),
    "control": ("control socket", "each answer is an object with an exit code", ["admin/session.c", "admin/args.c", "admin/line.c"]),
    "crl": ("revocation lists", "what nobody signed never counts", ["net/crl.c"]),
    "dane": ("TLSA records", "what fits is what fits by hand; order does not matter, and one more never makes it worse", ["net/tls_dane.c"]),
    "dns_record": ("DNS answers", "names that come out may be asked for", ["net/dns_parse.c"]),
    "fetch": ("HTTP answers", "told once, within the size; never to an address inside, however often it is sent on", ["net/fetch.c"]),
    "html": ("HTML", "UTF-8 stays UTF-8; text written as HTML comes back", ["interwork/html.c", "interwork/html_token.c"]),
    "dns_differ": ("DNS answers", "see below", ["net/dns_parse.c"]),
    "document": ("import files", "read, written as YAML and as JSON, read: the same octets", ["admin/document_read.c", "admin/document_write.c"]),
    "http": ("HTTP API", "however it is cut, the head ends at the same place", ["api/http.c"]),
    "im": ("SIP message, stanza", "what passes is one stanza, or a MESSAGE", ["interwork/im_in.c", "interwork/im_out.c", "interwork/mime.c"]),
    "jid": ("JID", "prepared twice is prepared once; A-labels lead back", ["xmpp/jid.c", "xmpp/precis.c", "xmpp/idn.c"]),
    "keeper": ("keeper frames", "read, written: the same octets; no octet of a key in a reply", ["keeper/frame.c", "keeper/vault.c"]),
    "link": ("link frames", "what is read is written as it came", ["link/frame.c", "link/session.c"]),
    "link_policy": ("link frames", "read, written, read, written: the same octets", ["link/policy.c"]),
    "journal": ("journal files", "what is read is written the same; every entry stands once, in order, and all is counted", ["journal/record.c", "journal/replay.c", "journal/index.c"]),
    "lives": ("both networks", "each text answered once, delivered once, in order; nothing is left at the end", ["gateway/gateway.c", "gateway/message.c", "gateway/page.c", "gateway/session.c", "gateway/watch_sip.c", "gateway/watch_xmpp.c", "sip/session.c", "interwork/xmpp_watcher.c"]),
    "lync_file": ("import files", "commands that come out are ones of the table", ["admin/lync_file.c", "admin/lync_translate.c", "admin/lync_table.c"]),
    "msrp": ("MSRP", "however it is cut, the same messages", ["msrp/frame.c", "msrp/message.c", "msrp/receive.c", "msrp/session.c"]),
    "multipart": ("multipart", "a line by line reading agrees; base64 and quoted-printable come back", ["interwork/mime.c"]),
    "pack": ("CPIM, multipart", "what is packed is found by the reader", ["interwork/im_pack.c", "interwork/cpim.c"]),
    "pidf": ("PIDF", "read, written, read: the same", ["interwork/pidf.c"]),
    "presence": ("stanza", "what watchers see can be read", ["interwork/sip_watcher.c", "interwork/presence.c"]),
    "rtf": ("RTF", "what comes out is UTF-8; text written as RTF comes back", ["interwork/rtf.c"]),
    "sdp": ("SDP", "what is accepted can be answered", ["sip/sdp.c"]),
    "signal": ("CPIM, IMDN", "read, written, read: the same", ["interwork/signal.c", "interwork/imdn.c", "interwork/receipt.c", "interwork/inflate.c"]),
    "sip_differ": ("SIP message, framing", "see below", ["sip/msg.c", "sip/frame.c", "sip/value.c"]),
    "sip_edit": ("SIP message", "no edits: the same octets; edits change what they name", ["sip/edit.c"]),
    "sip_frame": ("framing", "however it is cut, the same frames", ["sip/frame.c"]),
    "sip_msg": ("SIP message", "what was shown lies in the message; answers parse", ["sip/msg.c", "sip/hdr.c", "sip/value.c", "sip/lex.c", "sip/build.c", "sip/uas_check.c"]),
    "sip_restore": ("store", "what is restored is saved the same", ["sip/notifier.c"]),
    "sip_stack": ("SIP message", "each transaction ends once", ["sip/trans.c", "sip/trans_client.c", "sip/trans_server.c", "sip/subscriber.c", "sip/dialog.c"]),
    "sip_uri": ("URI", "equality is symmetric; user names come back", ["sip/uri.c"]),
    "stanza": ("stanza", "answers go back to the sender with the same id, read as what they are", ["xmpp/stanza.c", "xmpp/error.c", "xmpp/service.c"]),
    "uri_differ": ("URI", "see below", ["sip/uri.c"]),
    "xhtml": ("HTML", "nothing but the white list; stable", ["interwork/xhtml.c", "interwork/html_token.c"]),
    "xml_differ": ("XML", "see below", ["xmpp/xml_doc.c", "xmpp/xml_build.c"]),
    "xml_doc": ("XML", "read, written, read: the same", ["xmpp/xml_doc.c", "xmpp/xml_write.c"]),
    "xml_stream": ("XML stream", "however it is cut, the same elements", ["xmpp/xml_stream.c", "xmpp/xml_skip.c"]),
    "xmpp_session": ("XML stream, stanza", "no stanza without its proof; every stream ends", ["xmpp/stream.c", "xmpp/stream_in.c", "xmpp/stream_out.c", "xmpp/stream_dialback.c", "xmpp/stream_acks.c", "xmpp/features.c", "xmpp/sasl.c"]),
}

# Two readings of the same octets, of which one is not ours or made in another way.
DIFFERENTIAL = {
    "multipart": "parts by the gateway's reader, and line by line",
    "dns_differ": "records and packets by us and by ldns",
    "sip_differ": "a message as a datagram and off a stream cut at every place; Content-Length by parser, framer and a plain reader; From's URI in the message and alone; written anew",
    "xml_differ": "a document by our reader (expat) and by libxml2: the same events, the same verdict",
    "uri_differ": "sip_uri_equal, and a comparison of both URIs in a canonical form",
}

# Inputs that lie elsewhere in the tree already.
ALSO = {
    "sip_msg": ["tests/data/sip-torture"],
    "sip_frame": ["tests/data/sip-torture"], "sip_differ": ["tests/data/sip-torture"], "xml_differ": ["tests/fuzz/corpus/xml_doc"],
    "lync_file": ["tests/data/lync"],
}

# Words: dict/<name>.dict, or that of the name's first part, or these.
DICT = {
    "access_proxy": "sip", "im": "sip", "address": "jid", "pidf": "xml", "presence": "xml", "xhtml": "html", "xmpp_session": "xml",
    "dane": "dns", "signal": "xml", "uri_differ": "sip", "document": "config", "stanza": "xml",
}

# What the fuzzer has found: target, date, what it was, and the test that it became.
FOUND = [
    ("access_proxy", "2026-11-22", "a message whose only Via has no value was taken, and answered without Via", "test_msg.c test_heads"),
    ("cpim", "2026-11-22", "a subject that begins with \";lang=\" was read back as a parameter of its header", "test_im_pack.c test_cpim_subject_is_text"),
    ("dns_differ", "2026-11-22", "ldns reads a name past the length of its record, and counts other records (the test's fault: compared is what has right lengths)",
     "corpus/dns_differ/found-name-past-length"),
    ("link_policy", "2026-11-22", "the same policy was written in another order of blocked domains, now and then", "test_policy.c whole"),
    ("lives", "2026-11-22", "a text that was handed over in the last half second of its request's time was answered when nobody listened any more", "4.1/queued.script"),
    ("sip_differ", "2026-11-22", "`sIP/2.0` was taken as a datagram and refused on a stream", "test_frame.c test_version_in_any_case"),
    ("stanza", "2026-11-22", "the answer to a request with an empty id had none", "test_stanza.c test_answers"),
]
