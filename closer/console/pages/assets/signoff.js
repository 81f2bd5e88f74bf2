// What the pages do beyond being read: follow the daemon, show times in the reader's
// zone, count down, and keep addresses and tokens out of URLs. Without it all of them work.
"use strict";

(() => {
	const two = (n) => String(n).padStart(2, "0");
	const grouped = (n) => String(n).replace(/\B(?=(\d{3})+$)/g, "\u2009"); // as the server has it
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

	// localHints says beside fields for times whose they are.
	const localHints = (root) => {
		for (const hint of root.querySelectorAll("[data-zone]")) hint.textContent = `your time, ${zone(new Date())}`;
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
		localHints(fresh);
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
		compare();
	};

	// refocus gives the focus back to what stands where it was.
	const refocus = (part, was) => {
		const href = was.getAttribute("href");
		const same = was.id ? document.getElementById(was.id)
			: href ? [...part.querySelectorAll("[href]")].find((a) => a.getAttribute("href") === href)
			: [...part.querySelectorAll(was.tagName)].find((e) => e.textContent === was.textContent);
		(same ?? part.closest("main"))?.focus({ preventScroll: true });
	};

	// compare says so if what a form decides about is not what the page has shown.
	const compare = () => {
		const form = document.querySelector("form[data-was]");
		const now = document.querySelector("[data-now]")?.dataset.now;
		if (!form || now === form.dataset.was) return;
		document.getElementById("stale").hidden = false;
		for (const button of form.querySelectorAll("button:not([name])")) button.disabled = true;
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
			const asked = { headers: { "Signoff-Live": "1" }, signal: AbortSignal.timeout(8000) };
			if (search && sought()) Object.assign(asked, { method: "POST", body: searchBody() });
			const answer = await fetch(asked.method ? search.action : location.pathname + location.search, asked);
			if (answer.redirected || answer.status === 401) {
				signedOut = true;
				stream?.close();
				for (const button of document.querySelectorAll("main button")) button.disabled = true;
				const link = Object.assign(document.createElement("a"), { href: location.href, textContent: "Load the page again" });
				link.addEventListener("click", () => location.reload()); // where the address has a #, to follow it would not
				banner.replaceChildren("You are signed out: what you see is old. ", link, " to sign in.");
				banner.hidden = false;
				return;
			}
			reached = answer.status < 500 ? "yes" : "broken";
			if (!answer.ok && !asked.method) return;
			shown = Date.now();
			const date = Date.parse(answer.headers.get("Date"));
			if (!isNaN(date) && Math.abs(date - Date.now()) > 2000) skew = date - Date.now();
			place(new DOMParser().parseFromString(await answer.text(), "text/html"));
			if (search) keepSought();
		} catch {
			reached = "no";
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
	let signedOut = false; // then nothing more is asked for
	let heard = Date.now(); // a word of the stream
	let shown = Date.now(); // what the page has is as of then
	let lost = 0; // since when there is no stream; 0: there is one
	let asked = 0; // the last time without being told to by the stream
	let reached = "yes"; // "no": the last answer did not come; "broken": it was an error

	// line says what is wrong with the line to the daemon. A stream that is cut and there
	// again in a moment is nobody's concern. While it is silent, the page asks by itself.
	const line = () => {
		if (signedOut) return;
		const now = Date.now();
		const silent = lost ? now - lost > 4000 : stream && now - heard > 25_000;
		if (!silent && reached !== "broken") {
			banner.hidden = true;
			return;
		}
		if (now - asked > 10_000) {
			asked = now;
			renew();
		}
		if (fetching && banner.hidden) return; // it is known in a moment
		const t = new Date(shown);
		const text = reached === "broken" ? "signoff can't answer: its log says why." : reached === "no" ? "No connection to signoff."
			: "Live updates don't get through: this page asks every 10 seconds.";
		const old = reached === "yes" ? "" : ` What you see is as of ${two(t.getHours())}:${two(t.getMinutes())}:${two(t.getSeconds())}. Trying again…`;
		if (banner.textContent !== text + old) banner.textContent = text + old;
		banner.hidden = false;
	};

	// A hidden page needs nothing, and a browser has few connections to one server.
	let stream = null;
	const follow = () => {
		const path = document.body.dataset.follow;
		if (!path || stream || signedOut || document.hidden) return;
		stream = new EventSource(path);
		heard = Date.now();
		const word = (event) => {
			const back = lost || reached !== "yes" || event.type !== "beat";
			heard = Date.now();
			lost = 0;
			if (back) renew();
			line();
		};
		for (const name of ["open", "change", "beat"]) stream.addEventListener(name, word);
		stream.addEventListener("error", () => {
			lost ||= Date.now();
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
		lost = 0;
	});
	setInterval(() => {
		countDown();
		line();
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
	document.addEventListener("submit", (event) => {
		for (const field of event.target.querySelectorAll("input[data-utc]")) {
			const t = new Date(field.value);
			event.target.elements[field.dataset.utc].value = isNaN(t) ? "" : t.toISOString();
		}
	});

	// All of a table's boxes at once, and how many of all go.
	for (const all of document.querySelectorAll("input[data-all]")) {
		const boxes = [...all.closest("form").querySelectorAll(`input[name="${all.dataset.all}"]`)];
		const tally = all.closest("form").querySelector("[data-ticked]");
		const count = () => {
			const out = boxes.filter((box) => !box.checked).length;
			all.checked = out < boxes.length;
			all.indeterminate = out > 0 && out < boxes.length;
			if (tally) tally.textContent = `${grouped(tally.dataset.count - tally.dataset.elsewhere - out)} of ${grouped(tally.dataset.count)}`;
		};
		all.hidden = false;
		all.addEventListener("change", () => {
			for (const box of boxes) box.checked = all.checked;
			count();
		});
		for (const box of boxes) box.addEventListener("change", count);
		addEventListener("pageshow", count); // a browser may have kept what was ticked
	}

	// What is printed is in UTC: whoever reads the paper has no zone to go by. A report says
	// so itself.
	addEventListener("beforeprint", () => {
		for (const at of document.querySelectorAll("main time[datetime]")) at.textContent = at.dateTime.slice(0, 16).replace("T", " ") + (at.closest(".report") ? "" : " UTC");
	});
	addEventListener("afterprint", () => localTimes(document));

	const zoneLine = document.getElementById("zone");
	const here = Intl.DateTimeFormat().resolvedOptions().timeZone;
	if (zoneLine) zoneLine.textContent = here && here !== zone(new Date()) ? `Times are in ${here} (${zone(new Date())}).` : `Times are ${zone(new Date())}.`;
	localTimes(document);
	localMarks(document);
	localHints(document);
	countDown();
	follow();
})();
