// What the pages do beyond being read: follow the daemon, show times in the reader's
// zone, count down, and keep addresses and tokens out of URLs. Without it all of them work.
"use strict";

(() => {
	const two = (n) => String(n).padStart(2, "0");
	const day = (t) => `${t.getFullYear()}-${two(t.getMonth() + 1)}-${two(t.getDate())}`;

	// zone is the reader's, such as UTC+2, at a time.
	const zone = (t) => {
		const minutes = -t.getTimezoneOffset();
		if (minutes === 0) return "UTC";
		const rest = Math.abs(minutes) % 60;
		return `UTC${minutes < 0 ? "−" : "+"}${Math.floor(Math.abs(minutes) / 60)}${rest ? ":" + two(rest) : ""}`;
	};

	// behind is what stands behind the # of this page's address, after a word; "" if it is
	// something else, or was cut off.
	const behind = (word) => {
		try {
			return location.hash.startsWith(word) ? decodeURIComponent(location.hash.slice(word.length)) : "";
		} catch {
			return "";
		}
	};

	// localTimes shows the times below root as the reader's clock has them; the exact
	// one, in UTC, is what the server has set as the title.
	const localTimes = (root) => {
		const today = day(new Date());
		for (const at of root.querySelectorAll("time[datetime]")) {
			const t = new Date(at.dateTime);
			if (isNaN(t)) continue;
			const clock = `${two(t.getHours())}:${two(t.getMinutes())}`;
			at.textContent = day(t) === today && !at.closest(".exact") ? `today ${clock}` : `${day(t)} ${clock}`;
			at.title = `${at.dateTime} (${day(t)} ${clock}:${two(t.getSeconds())} ${zone(t)})`;
		}
	};

	// localMarks does the same below charts, where there is room for an hour or a day.
	const localMarks = (root) => {
		for (const mark of root.querySelectorAll("[data-time]")) {
			const t = new Date(mark.dataset.time);
			mark.textContent = "day" in mark.dataset ? t.toLocaleDateString("en", { day: "numeric", month: "short" }) : `${two(t.getHours())}:${two(t.getMinutes())}`;
		}
	};

	// countDown shows how long it is until a time, as m:ss.
	const countDown = () => {
		for (const clock of document.querySelectorAll("[data-until]")) {
			const left = Math.ceil((new Date(clock.dataset.until) - Date.now() - skew) / 1000);
			const text = left <= 0 ? "now" : left >= 3600 ? `${Math.floor(left / 3600)}:${two(Math.floor(left / 60) % 60)}:${two(left % 60)}` : `${Math.floor(left / 60)}:${two(left % 60)}`;
			if (clock.textContent !== text) clock.textContent = text;
		}
	};
	let skew = 0; // how far the daemon's clock is ahead of this one, in milliseconds

	// changed says whether a field is not as the page came.
	const changed = (field) => {
		if (field.matches("select")) return field.selectedIndex !== Math.max(0, [...field.options].findIndex((one) => one.defaultSelected));
		return field.matches("[type=checkbox], [type=radio]") ? field.checked !== field.defaultChecked : field.value !== field.defaultValue;
	};

	// busy says whether a person is in the midst of something there.
	const busy = (part) => {
		if (part.contains(document.activeElement) && document.activeElement.matches("input, textarea, select")) return true;
		return [...part.querySelectorAll("input, textarea, select")].some(changed);
	};

	// place puts the parts of a newer version of this page where the old ones are.
	const place = (fresh) => {
		localTimes(fresh);
		localMarks(fresh);
		for (const part of document.querySelectorAll("[data-live][id]")) {
			const next = fresh.getElementById(part.id);
			if (!next || busy(part)) continue;
			const open = [...part.querySelectorAll("details[open]")].map((d) => d.id);
			for (const id of open) next.querySelector(`details[id="${CSS.escape(id)}"]`)?.setAttribute("open", "");
			for (const clock of next.querySelectorAll("[data-until]")) {
				const now = part.querySelector(`[data-until="${clock.dataset.until}"]`);
				if (now) clock.textContent = now.textContent;
			}
			if (next.outerHTML === part.outerHTML) continue;
			const focused = part.contains(document.activeElement) ? document.activeElement : null;
			const taken = document.importNode(next, true);
			part.replaceWith(taken);
			if (focused) refocus(taken, focused);
		}
		countDown();
	};

	// refocus gives the focus back to what stands where it was.
	const refocus = (part, was) => {
		const href = was.getAttribute("href");
		const same = was.id ? document.getElementById(was.id)
			: href ? [...part.querySelectorAll("[href]")].find((a) => a.getAttribute("href") === href)
			: [...part.querySelectorAll(was.tagName)].find((e) => e.textContent === was.textContent);
		(same ?? part.closest("main"))?.focus({ preventScroll: true });
	};

	let fetching = false;
	let again = false;
	const renew = async () => {
		if (!document.querySelector("[data-live][id]")) return; // such as a report: it is as of when it was made
		if (fetching) {
			again = true;
			return;
		}
		fetching = true;
		try {
			const asked = { headers: { "Signoff-Live": "1" } };
			if (search && sought()) Object.assign(asked, { method: "POST", body: searchBody() });
			const answer = await fetch(asked.method ? search.action : location.pathname + location.search, asked);
			if (answer.redirected || answer.status === 401) {
				signedOut = true;
				stream?.close();
				offline("You are signed out: what you see is old. Load the page again to sign in.");
				return;
			}
			if (!answer.ok && !asked.method) return;
			const date = Date.parse(answer.headers.get("Date"));
			if (!isNaN(date) && Math.abs(date - Date.now()) > 2000) skew = date - Date.now();
			place(new DOMParser().parseFromString(await answer.text(), "text/html"));
			if (search) keepSought();
		} catch {
			// the stream says so, if the daemon is away
		} finally {
			fetching = false;
			document.getElementById("list")?.removeAttribute("aria-busy");
			if (again) {
				again = false;
				setTimeout(renew, 500);
			}
		}
	};

	const banner = document.getElementById("offline");
	let heard = Date.now();
	const offline = (text) => {
		banner.textContent = text;
		banner.hidden = false;
	};
	const online = () => {
		const was = banner.hidden === false;
		heard = Date.now();
		banner.hidden = true;
		return was;
	};
	let signedOut = false; // then nothing more is asked for
	const away = () => {
		if (signedOut) return;
		const t = new Date(heard);
		offline(`No connection to signoff: what you see is as of ${two(t.getHours())}:${two(t.getMinutes())}:${two(t.getSeconds())}. Trying again…`);
	};

	// A hidden page needs nothing, and a browser has few connections to one server.
	let stream = null;
	const follow = () => {
		const path = document.body.dataset.follow;
		if (!path || stream || signedOut) return;
		stream = new EventSource(path);
		stream.addEventListener("change", () => {
			online();
			renew();
		});
		stream.addEventListener("beat", () => { if (online()) renew(); });
		stream.addEventListener("open", () => { online(); renew(); });
		stream.addEventListener("error", () => {
			away();
			if (stream.readyState !== EventSource.CLOSED) return;
			stream = null; // the browser has given up: it was answered, but with no stream
			setTimeout(follow, 5000);
			renew();
		});
	};
	document.addEventListener("visibilitychange", () => {
		if (!document.hidden) return follow();
		stream?.close();
		stream = null;
	});
	setInterval(() => {
		countDown();
		if (stream && Date.now() - heard > 25_000) away();
	}, 250);

	// What answers a form has a link of its own: that is what one sends to a colleague,
	// loads again, and follows.
	if (document.body.dataset.here) history.replaceState(null, "", document.body.dataset.here);

	// A search is posted, since an address must not be in a URL that servers log. It stands
	// behind the #, which no browser sends: so it can be sent to a colleague all the same.
	const search = document.querySelector("form[data-search]");
	const sought = () => behind("#q=");
	const page = () => new URLSearchParams(location.search).get("after"); // of the list, that is shown
	const searchBody = () => {
		const body = new URLSearchParams(new FormData(search));
		if (page()) body.set("after", page());
		return body;
	};
	const seek = () => {
		search.elements.text.value = search.elements.text.defaultValue = sought();
		keepSought();
		renew();
	};
	// keepSought has links to other filters and pages keep what is sought.
	const keepSought = () => {
		for (const a of document.querySelectorAll("a[data-keep]")) a.hash = location.hash;
	};
	if (search) {
		search.addEventListener("submit", (event) => {
			event.preventDefault();
			const text = search.elements.text.value.trim();
			const query = new URLSearchParams(location.search);
			query.delete("after"); // what is sought begins with a first page
			history.pushState(null, "", location.pathname + (query.size ? "?" + query : "") + (text ? "#q=" + encodeURIComponent(text) : ""));
			seek();
		});
		addEventListener("popstate", seek);
		if (sought()) {
			document.getElementById("list")?.setAttribute("aria-busy", "true"); // these are not those sought
			seek();
		} else if (search.elements.text.defaultValue) { // this page is the answer to a form
			history.replaceState(null, "", "#q=" + encodeURIComponent(search.elements.text.defaultValue));
			keepSought();
		}
	}

	// A token behind the # of a link to sign in by, such as a demo prints, is never sent
	// but in the form, and does not stay in the address bar.
	const signIn = document.querySelector("form[data-sign-in]");
	if (signIn && location.hash.startsWith("#token=")) {
		signIn.elements.token.value = behind("#token=");
		history.replaceState(null, "", location.pathname + location.search);
		// Whoever is somebody already does not become somebody else by a link alone.
		if (!("asks" in signIn.dataset)) signIn.requestSubmit();
	}

	// What was just done is no part of what the page is: not when it is loaded again, nor
	// for whom its link is sent to.
	const address = new URL(location.href);
	if (address.searchParams.has("done")) {
		address.searchParams.delete("done");
		history.replaceState(null, "", address);
	}

	// A time that is typed is the reader's: the form says which moment that is.
	for (const field of document.querySelectorAll("input[data-utc]")) {
		const exact = field.form.elements[field.dataset.utc];
		for (const hint of field.form.querySelectorAll("[data-zone]")) hint.textContent = "your time";
		field.form.addEventListener("submit", () => {
			const t = new Date(field.value);
			exact.value = isNaN(t) ? "" : t.toISOString();
		});
	}

	// All of a table's boxes at once.
	for (const all of document.querySelectorAll("input[data-all]")) {
		const boxes = () => all.closest("form").querySelectorAll(`input[name="${all.dataset.all}"]`);
		all.hidden = false;
		all.addEventListener("change", () => { for (const box of boxes()) box.checked = all.checked; });
	}

	// A printed report is in UTC, as it says: whoever reads the paper has no zone to go by.
	addEventListener("beforeprint", () => {
		for (const at of document.querySelectorAll(".report time[datetime]")) at.textContent = at.dateTime.slice(0, 16).replace("T", " ");
	});
	addEventListener("afterprint", () => localTimes(document));

	const zoneLine = document.getElementById("zone");
	const here = Intl.DateTimeFormat().resolvedOptions().timeZone;
	if (zoneLine) zoneLine.textContent = here && here !== zone(new Date()) ? `Times are of ${here} (${zone(new Date())}).` : `Times are ${zone(new Date())}.`;
	localTimes(document);
	localMarks(document);
	countDown();
	if (!document.hidden) follow();
})();
