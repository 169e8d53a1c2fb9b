#!/usr/bin/env bash
# Opens reports in headless Chromium, as a reader would: no word on the console, nothing wider than a wide or a
# narrow window, no words beyond their drawing, figures that are those of the rows they name, colours that can be read in light and dark; and reads what was printed,
# the report.pdf beside the report or one printed here: its title, who hands it in, every row of the table, numbered
# pages, and no path.
#
#   scripts/check-report.sh results/latest/report.html ...
set -euo pipefail

browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)
[ -n "$browser" ] || { echo "$0: there is no Chromium here to open reports with: apt-get install chromium" >&2; exit 2; }
command -v pdftotext >/dev/null || { echo "$0: there is no pdftotext here: apt-get install poppler-utils" >&2; exit 2; }
[ $# -gt 0 ] || { echo "usage: $0 REPORT.html ..." >&2; exit 2; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0
fail() { echo "FAILED: $*" >&2; failures=$((failures + 1)); }

# The output of a program with a time limit; the profile is new each time, so that nothing is remembered.
open_in_browser() {
    local profile
    profile=$(mktemp -d -p "$work")
    timeout 120 "$browser" --headless --no-sandbox --disable-gpu --disable-quic --no-first-run \
        --disable-background-networking --disable-component-update --disable-sync \
        --user-data-dir="$profile" "$@"
}

# What a page of this policy would not run, a copy without it does: the copy measures itself, in frames, because a
# window is never narrower than 500.
probe=$(cat <<'JS'
<script>
addEventListener('load', () => {
  const root = document.documentElement;
  const inner = '.wide, .panels, pre';
  const wide = [...document.querySelectorAll('body *')].filter(e => !e.parentElement.closest(inner)
    && e.getBoundingClientRect().right > root.clientWidth + 1).map(e => e.tagName + '.' + e.className);
  const cut = [...document.querySelectorAll('svg text')].filter(e => {
    const [box, all] = [e, e.ownerSVGElement].map(it => it.getBoundingClientRect());
    const y = (box.top + box.bottom) / 2;
    // And words that begin in a box end in it.
    const boxes = [...e.ownerSVGElement.querySelectorAll('rect')].map(it => it.getBoundingClientRect())
      .filter(it => it.left <= box.left && box.left < it.right && it.top <= y && y <= it.bottom);
    return box.top < all.top - 1 || box.bottom > all.bottom + 1
      || [all, ...boxes].some(it => box.left < it.left - 1 || box.right > it.right + 1);
  }).map(e => e.textContent);
  const style = getComputedStyle(root);
  const context = document.createElement('canvas').getContext('2d');
  const light = name => {
    context.fillStyle = style.getPropertyValue(name).trim();
    context.fillRect(0, 0, 1, 1);
    const linear = [...context.getImageData(0, 0, 1, 1).data].slice(0, 3).map(v => v / 255)
      .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  };
  const contrast = (a, b) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05);
  const words = ['--ink', '--muted', '--accent', '--bad'];
  const series = [...Array(8).keys()].map(i => '--s' + i);
  const faint = words.filter(n => contrast(n, '--paper') < 4.5 || contrast(n, '--soft') < 4.5)
    .concat(series.filter(n => contrast(n, '--paper') < 3));
  parent.postMessage([root.clientWidth, root.scrollWidth, (wide[0] || '-').replaceAll(' ', '.'),
    faint.join('+') || '-', light('--paper') > 0.5 ? 'light' : 'dark', (cut[0] || '-').replaceAll(' ', '.')].join(' '), '*');
});
</script>
JS
)
cat >"$work/frames.html" <<'HTML'
<!DOCTYPE html><meta charset="utf-8"><meta name="color-scheme" content="light dark"><body>
<iframe src="copy.html" width="1200" height="900" style="border:0"></iframe>
<iframe src="copy.html" width="800" height="900" style="border:0"></iframe>
<iframe src="copy.html" width="500" height="900" style="border:0"></iframe>
<iframe src="copy.html" width="400" height="900" style="border:0"></iframe>
<script>addEventListener('message', e => document.body.append('probe: ' + e.data + '\n'))</script>
HTML

# What a page prints of one kind, without its marks.
printed_words() { # pattern report
    grep -oP "$1" "$2" | sed 's/&lt;/</g; s/&gt;/>/g; s/&quot;/"/g; s/&amp;/\&/g'
}

# A number as a report in its language writes it, plain.
plain() { # report number
    if grep -q '<html lang="id"' "$1"; then tr -d . <<<"$2" | tr , .; else tr -d , <<<"$2"; fi
}

# The figures in large type against the rows that they name, in the table beside the report.
check_tiles() { # report
    local report=$1 table figure row said held
    table=$(dirname "$report")/summary.csv
    [ -e "$table" ] || return 0
    held=$(awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next } { n++; ok += $at["status"] == "ok" }
        END { print ok + 0, n + 0 }' "$table")
    said=$(grep -aoP '(?<=<strong>)[\d.,]+ / [\d.,]+(?=</strong>)' "$report" | head -1 | sed 's|/||; s/[.,]//g' | xargs)
    [ "$said" = "$held" ] || fail "$report: a tile says '$said' of rows verified and all rows, its table '$held'"
    while IFS='|' read -r figure row; do
        held=$(awk -F, -v row="$row" 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next }
            $1 == row { print $at["aggregate_bytes_per_s"] / 1e6 }' "$table")
        said=$(plain "$report" "$figure")
        awk -v said="$said" -v held="${held:-0}" 'BEGIN { d = said - held; exit !(d * d <= held * held * 4e-6) }' ||
            fail "$report: a tile says $said MB/s of row $row, its table ${held:-nothing}"
    done < <(grep -aoP '<strong>[\d.,]+[^<>]{1,3}MB/s</strong><span>[^<]*\((row|baris) [\d.,]+\)' "$report" |
        sed -E 's/<strong>([0-9.,]+).*\((row|baris) ([0-9.,]+)\)/\1|\3/' | while IFS='|' read -r figure row; do
            echo "$figure|$(tr -d '.,' <<<"$row")"
        done)
}

# The words of a print in $work/print.txt, page by page, against its report.
check_print() { # report pages
    local report=$1 pages=$2 words number rows table
    while read -r words; do
        # However it was broken into lines.
        tr -s ' \n\f' ' ' <"$work/print.txt" | grep -qF -- "$words" || fail "$report: printed without '$words'"
    done < <(printed_words '(?<=<h1>)[^<]*' "$report"; printed_words '(?<=<dd>)[^<]+' <(grep -oP '<dl class="byline">.*?</dl>' "$report"))
    for number in $(seq "$pages"); do
        grep -qE "(^| )$number / $pages\$" "$work/print.txt" || fail "$report: page $number of $pages has no number"
    done
    if grep -nE 'file:|stress-pdf' "$work/print.txt"; then fail "$report: a path of this machine is printed"; fi
    table=$(dirname "$report")/table.csv
    [ -e "$table" ] || return 0
    rows=$(tail -n +2 "$table" | grep -oE '^[0-9]+')
    for number in $rows; do
        grep -qE "^ *$number +(Download|Upload|List) " "$work/print.txt" || fail "$report: printed without row $number"
    done
    echo "$report: printed on $pages pages, with $(wc -w <<<"$rows") rows"
}

for report in "$@"; do
    [ -s "$report" ] || { fail "$report: not there"; continue; }
    address="file://$(realpath "$report")"

    open_in_browser --enable-logging=stderr --dump-dom "$address" >"$work/dom" 2>"$work/log" || fail "$report: not opened"
    if grep CONSOLE "$work/log" >&2; then fail "$report: the console has something to say"; fi
    grep -q '<h1>' "$work/dom" || fail "$report: no heading"

    copy="$work/copy.html"
    sed 's/<meta http-equiv="Content-Security-Policy"[^>]*>//' "$report" >"$copy"
    printf '%s' "$probe" >>"$copy"
    for scheme in light dark; do
        # Blink counts dark as 0 and light as 1.
        setting=$([ $scheme = dark ] && echo 0 || echo 1)
        open_in_browser --window-size=1700,1000 --hide-scrollbars --blink-settings=preferredColorScheme=$setting \
            --dump-dom "file://$work/frames.html" >"$work/dom" 2>/dev/null || fail "$report: not opened"
        grep -o 'probe: [0-9][^<]*' "$work/dom" | cut -d' ' -f2- | sort -n >"$work/probes" || true
        widths=$(cut -d' ' -f1 "$work/probes" | xargs)
        [ "$widths" = "400 500 800 1200" ] || fail "$report: measured at widths '$widths'"
        while read -r width scroll element faint paper cut; do
            [ "$scroll" = "$width" ] && [ "$element" = - ] ||
                fail "$report: $scroll wide in a window of $width, at $element"
            [ "$faint" = - ] || fail "$report, $scheme: too little contrast of $faint"
            [ "$cut" = - ] || fail "$report: a drawing $width wide cuts off '$cut'"
            [ "$paper" = $scheme ] || fail "$report: asked for $scheme, the page is $paper"
        done <"$work/probes"
    done

    check_tiles "$report"
    pdf=${report%.html}.pdf
    if [ ! -e "$pdf" ]; then
        pdf=$work/print.pdf
        rm -f "$pdf"
        open_in_browser --no-pdf-header-footer --print-to-pdf="$pdf" "$address" >/dev/null 2>&1 || true
    fi
    if pdftotext -layout "$pdf" "$work/print.txt"; then
        check_print "$report" "$(pdfinfo "$pdf" | awk '/^Pages:/ { print $2 }')"
    else
        fail "$report: not printed"
    fi
    [ $failures = 0 ] && echo "ok: $report"
done
[ $failures = 0 ]
