// What the page does beyond reading: sort and filter, compare two systems, open the cells of confusion matrices.
"use strict";
const groups = JSON.parse(document.getElementById("groups").textContent);
const media = JSON.parse(document.getElementById("media").textContent);
const WAYS = 13; // up to so many speakers all ways of exchanging are tried, as ser.evaluation.compare does
const letter = "abcdefghijklmnopqrstuvwxyz";

function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child != null));
  return element;
}

const open = () => { // an experiment whose part is linked to, or the contents on a wide screen
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let node = target; node; node = node.parentElement) if (node.tagName === "DETAILS") node.open = true;
  if (target) target.scrollIntoView();
};
addEventListener("hashchange", open);
const wide = matchMedia("(min-width: 70rem)");
const contents = document.getElementById("contents");
const fit = () => { contents.open = wide.matches; };
wide.addEventListener("change", fit);
fit();
contents.addEventListener("click", (event) => { if (event.target.closest("a") && !wide.matches) contents.open = false; });

// tables of results: a button in each heading sorts, a field filters
const value = (row, column) => {
  const text = row.cells[column].textContent.trim(), number = parseFloat(text.replace(/^at least /, ""));
  return isNaN(number) ? text.toLowerCase() : number;
};
function sort(table, column, down) {
  const rows = [...table.tBodies[0].rows];
  rows.sort((a, b) => {
    const x = value(a, column), y = value(b, column);
    if (typeof x !== typeof y) return typeof x === "number" ? -1 : 1;
    return (x < y ? -1 : x > y ? 1 : 0) * (down ? -1 : 1);
  });
  table.tBodies[0].append(...rows);
  [...table.tHead.rows[0].cells].forEach((cell, k) => {
    if (k === column) cell.setAttribute("aria-sort", down ? "descending" : "ascending");
    else cell.removeAttribute("aria-sort");
  });
}
for (const table of document.querySelectorAll("table.scores, table.sortable")) {
  [...table.tHead.rows[0].cells].forEach((cell, column) => {
    const name = cell.textContent;
    const click = () => sort(table, column, cell.getAttribute("aria-sort") !== "descending" && column > 0);
    cell.replaceChildren(make("button", {type: "button", class: "sort", onclick: click}, name));
  });
  if (!table.matches(".scores")) continue;
  const count = make("span", {class: "soft", role: "status"});
  const filter = make("input", {type: "search", placeholder: "svm, loso, dev ...", oninput: () => {
    const words = filter.value.toLowerCase().split(/\s+/), rows = [...table.tBodies[0].rows];
    for (const row of rows) row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word));
    count.textContent = ` ${rows.filter((row) => !row.hidden).length} of ${rows.length}`;
  }});
  table.parentElement.before(make("p", {class: "tools"}, make("label", {}, "Filter: ", filter), count));
}

// counts[speaker][true][predicted] of a system, summed over its runs
function confusions(group, system) {
  const K = group.classes.length;
  const counts = group.speakers.map(() => Array.from({length: K}, () => new Array(K).fill(0)));
  for (const run of system.runs) for (let n = 0; n < group.ids.length; n++) {
    const p = letter.indexOf(run[n]);
    if (p >= 0) counts[group.speaker[n]][letter.indexOf(group.truth[n])][p]++;
  }
  return counts;
}
const sum = (counts) => counts[0].map((row, t) => row.map((_, p) => counts.reduce((s, m) => s + m[t][p], 0)));
function ua(matrix) {
  const recalls = matrix.map((row, t) => [row[t], row.reduce((a, b) => a + b, 0)]).filter(([, n]) => n > 0);
  return recalls.reduce((s, [hits, n]) => s + hits / n, 0) / recalls.length;
}
// the p-value of ser.evaluation.compare: the predictions of A and B are exchanged speaker by speaker
function paired(group, a, b) {
  const scale = (s) => confusions(group, s).map((m) => m.map((row) => row.map((n) => n / s.seeds)));
  const one = scale(a), two = scale(b), U = one.length, exact = U <= WAYS, total = exact ? 2 ** U : 4001;
  const A = sum(one), B = sum(two), observed = ua(A) - ua(B);
  let extreme = 0, state = 1; // a small generator with a fixed seed: the same p-value at each visit
  const random = () => (state = (state * 48271) % 2147483647) & 64;
  for (let way = 0; way < total; way++) {
    const x = A.map((row) => row.slice()), y = B.map((row) => row.slice());
    for (let u = 0; u < U; u++) if (exact ? (way >> u) & 1 : way > 0 && random())
      for (let t = 0; t < x.length; t++) for (let p = 0; p < x.length; p++) {
        const d = two[u][t][p] - one[u][t][p];
        x[t][p] += d; y[t][p] -= d;
      }
    if (!(Math.abs(ua(x) - ua(y)) < Math.abs(observed) - 1e-9)) extreme++;
  }
  const better = one.filter((m, u) => ua(m) > ua(two[u])).length, worse = one.filter((m, u) => ua(m) < ua(two[u])).length;
  return {difference: observed, p: extreme / total, exact, total, better, worse, U};
}

// a matrix as a table; open(true, predicted) is called for a cell
function matrix(caption, classes, counts, show, shade, open) {
  const head = make("tr", {}, make("th", {scope: "col"}, "true"), ...classes.map((c) => make("th", {scope: "col"}, c)));
  const body = classes.map((c, t) => make("tr", {}, make("th", {scope: "row"}, c), ...classes.map((other, p) => {
    const text = show(t, p), label = `${c}, predicted ${other}: ${text} (${counts[t][p]})`;
    const inner = open && counts[t][p] ? make("button", {type: "button", class: "cell", "aria-label": label, onclick: () => open(t, p)}, text) : text;
    return make("td", {class: shade(t, p)}, inner);
  })));
  const table = make("table", {class: "confusion"}, make("caption", {}, caption), make("thead", {}, head), make("tbody", {}, ...body));
  return make("div", {class: "scroll", tabindex: 0, role: "group", "aria-label": caption}, table);
}
const shares = (counts) => counts.map((row) => row.map((n) => n / Math.max(1, row.reduce((a, b) => a + b, 0))));
const shade = (share) => "s" + (share > 0 ? Math.min(4, Math.floor(share * 5)) : "");

// one utterance: what every system says, its sound and its spectrogram where the page has them
const slug = (text) => text.replace(/[^A-Za-z0-9_-]/g, "-");
function utterance(group, n) {
  const corpus = Array.isArray(group.corpus) ? group.corpus[n] : group.corpus;
  const name = `${slug(corpus)}-${slug(group.ids[n])}`, [clip, picture] = media[name] || [];
  const sound = clip || document.getElementById("clip-" + name)?.src;
  const image = picture || document.getElementById("picture-" + name)?.src;
  const truth = letter.indexOf(group.truth[n]), K = group.classes.length;
  const wrong = group.systems.filter((s) => s.runs[0][n] !== group.truth[n]).length;
  const rows = group.systems.map((s) => make("tr", {}, make("th", {scope: "row"}, s.name), ...group.classes.map((c, k) => {
    const said = s.runs.filter((run) => run[n] === letter[k]).length;
    const score = s.scores ? Number(s.scores.substr(2 * (n * K + k), 2)) / 100 : said / s.runs.length;
    return make("td", {class: shade(score)}, s.scores || said ? score.toFixed(2) : "");
  })));
  const head = make("tr", {}, make("th", {scope: "col"}, "system"), ...group.classes.map((c, k) => make("th", {scope: "col"}, c + (k === truth ? " (true)" : ""))));
  const caption = "Scores of all systems, mean over seeds";
  const table = () => make("div", {class: "scroll", tabindex: 0, role: "group", "aria-label": caption}, make("table", {class: "confusion"}, make("caption", {}, caption), make("thead", {}, head), make("tbody", {}, ...rows)));
  const box = make("details", {class: "utterance"}, make("summary", {}, `${group.ids[n]}, speaker ${group.speakers[group.speaker[n]]}, wrong in ${wrong} of ${group.systems.length} systems`));
  box.addEventListener("toggle", () => {
    if (box.childElementCount > 1) return;
    if (sound) box.append(make("audio", {controls: "", preload: "none", src: sound, "aria-label": "utterance " + group.ids[n]}));
    if (image) box.append(make("img", {class: "spectrogram", src: image, alt: "spectrogram of " + group.ids[n]}));
    box.append(table());
  });
  return box;
}
const MOST = 40; // utterances of a cell that are listed
function cell(place, group, system, t, p) {
  const found = group.ids.map((_, n) => n).filter((n) => group.truth[n] === letter[t] && system.runs.some((run) => run[n] === letter[p]));
  const title = `${system.name}: ${found.length} with true class ${group.classes[t]}, predicted ${group.classes[p]}`;
  const more = found.length > MOST ? make("p", {class: "soft"}, `and ${found.length - MOST} more`) : null;
  const heading = make("p", {tabindex: -1}, make("strong", {}, title));
  place.replaceChildren(heading, ...found.slice(0, MOST).map((n) => utterance(group, n)), ...(more ? [more] : []));
  heading.focus();
}

// A and B
const place = document.getElementById("ab");
const rich = groups.filter((group) => group.systems.length > 1);
if (rich.length) {
  const select = (label, names, change) => {
    const field = make("select", {onchange: change}, ...names.map((name, k) => make("option", {value: k}, name)));
    place.append(make("label", {}, make("span", {}, label), field));
    return field;
  };
  let group = rich[0], a, b;
  const result = make("div", {role: "region", "aria-label": "The two systems"});
  const draw = () => {
    const [one, two] = [group.systems[a.value], group.systems[b.value]];
    const list = make("div", {});
    const tables = [one, two].map((system, k) => {
      const counts = sum(confusions(group, system)), share = shares(counts);
      const show = (t, p) => (counts[t][p] ? `${Math.round(100 * share[t][p])}%` : "");
      return matrix(`${"AB"[k]}: ${system.name}, UA ${ua(counts).toFixed(3)}`, group.classes, counts, show, (t, p) => shade(share[t][p]), (t, p) => cell(list, group, system, t, p));
    });
    const [x, y] = [one, two].map((system) => shares(sum(confusions(group, system))));
    const gap = (t, p) => Math.round(100 * (x[t][p] - y[t][p]));
    const sign = (t, p) => (gap(t, p) > 0 ? "+" : "") + gap(t, p);
    const good = (t, p) => (gap(t, p) === 0 ? "s" : (gap(t, p) > 0) === (t === p) ? "more" : "less");
    tables.push(matrix("A - B in points of percent; blue: A is better in this cell", group.classes, x, sign, good));
    const test = paired(group, one, two), ways = test.exact ? `all ${test.total}` : `${test.total - 1} drawn`;
    const caution = one.independent !== two.independent ? " Caution: only one of the two has the test speakers in training." : "";
    const text = a.value === b.value ? "A and B are the same system." : `UA of A less that of B: ${test.difference >= 0 ? "+" : ""}${test.difference.toFixed(3)}, p = ${test.p < 0.1 ? test.p.toPrecision(2) : test.p.toFixed(2)} (paired test, ${ways} ways of exchanging A and B by speaker; one test, not corrected for choosing the pair). A is better for ${test.better} of ${test.U} speakers, B for ${test.worse}.${caution}`;
    result.replaceChildren(make("p", {}, text), make("p", {class: "soft"}, "A cell of A or B opens its utterances."), make("div", {class: "row"}, ...tables), list);
  };
  const choose = () => {
    for (const field of [a, b]) field.replaceChildren(...group.systems.map((s, k) => make("option", {value: k}, s.name)));
    b.value = 1;
    draw();
  };
  if (rich.length > 1) {
    const field = select("Data", rich.map((g) => g.title), () => { group = rich[field.value]; choose(); });
  }
  a = select("A", [], draw);
  b = select("B", [], draw);
  place.append(result);
  choose();
}

// the confusion matrices of the experiments open their utterances too
for (const table of document.querySelectorAll("table.confusion[data-name]")) {
  const group = groups.find((g) => g.systems.some((s) => s.name === table.dataset.name));
  if (!group) continue;
  const system = group.systems.find((s) => s.name === table.dataset.name), list = make("div", {});
  table.parentElement.after(list);
  [...table.tBodies[0].rows].forEach((row, t) => [...row.cells].slice(1).forEach((td, p) => {
    if (td.textContent.startsWith("0% (0)")) return;
    const label = `${group.classes[t]}, predicted ${group.classes[p]}: ${td.textContent}`;
    td.replaceChildren(make("button", {type: "button", class: "cell", "aria-label": label, onclick: () => cell(list, group, system, t, p)}, td.textContent));
  }));
}
open();
