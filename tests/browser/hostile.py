"""Strings that would do harm where text is taken for markup, script, a template or an address: 200 of them."""

_TELLTALE = "window.broken=1"
_BREAKS = ("", '"', "'", "'>", '">', "</td>", "</script>", "--></style>", "\\\"'", "]]>")
_PAYLOADS = (
    f"<script>{_TELLTALE}</script>",
    f"<img src=x onerror={_TELLTALE}>",
    f"<svg onload={_TELLTALE}>",
    f'<svg><script href="data:text/javascript,{_TELLTALE}"/></svg>',
    f'<iframe srcdoc="<script>parent.{_TELLTALE}</script>"></iframe>',
    f"<details open ontoggle={_TELLTALE}>",
    f'<a href="javascript:{_TELLTALE}">click</a>',
    f"<input autofocus onfocus={_TELLTALE}>",
    f"<math><mtext><style><img src=x onerror={_TELLTALE}></style></mtext></math>",
    f"<template><script>{_TELLTALE}</script></template>",
    '<meta http-equiv="refresh" content="0;url=//evil.example">',
    '<link rel="stylesheet" href="//evil.example/x.css">',
    "<base href='//evil.example/'>",
    '<form action="//evil.example"><button>go</button></form>',
    "{{ 7 * 7 }}{% include '/etc/passwd' %}",
    "${7*7}#{7*7}<%= 7*7 %>",
    f"&lt;script&gt;{_TELLTALE}&lt;/script&gt;",
    f"\u202e\u2066\ufeff<\u0000script>{_TELLTALE}</script>\u200b",
    f"javascript:{_TELLTALE}//",
    "A" * 300 + "\U0001f9ed\u0301\u0489",
)

HOSTILE = tuple(f"{each}{payload}" for payload in _PAYLOADS for each in _BREAKS)
