//! The plot: an SVG of horizontal bars, one group for each metric, each bar as long as its share of the reference.
//!
//! Absolute values of different metrics can't share an axis; shares of one target's median can. Thin lines show the
//! spread over rounds, a red mark the floor. Written by hand: it is rectangles and text.

use crate::results::{Results, Series};
use crate::statistics::Spread;
use std::fmt::Write;

const LABEL_WIDTH: f64 = 300.0;
const UNIT_WIDTH: f64 = 260.0;
/// Longer bars end here and tell their length in words.
const SHARE_MAX: f64 = 2.5;
const BAR_HEIGHT: f64 = 12.0;
const GROUP_GAP: f64 = 12.0;
const TOP: f64 = 56.0;
const COLOURS: &[(&str, &str)] = &[("shoal", "#1f6fb4"), ("null", "#9aa5b1"), ("plain", "#d9a441"), ("beside", BESIDE)];
/// What is measured beside the targets, whatever its name.
const BESIDE: &str = "#5b9a68";

pub fn svg(results: &Results, title: &str) -> String {
    let mut body = String::new();
    let mut y = TOP;
    for series in &results.series {
        y = group(&mut body, series, y) + GROUP_GAP;
    }
    let (width, height) = (LABEL_WIDTH + SHARE_MAX * UNIT_WIDTH + 110.0, y + 10.0);
    let one = LABEL_WIDTH + UNIT_WIDTH;
    let mut svg = String::new();
    line(
        &mut svg,
        format_args!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" font-size="11">"#
        ),
    );
    line(&mut svg, format_args!(r#"<rect width="{width}" height="{height}" fill="white"/>"#));
    line(&mut svg, format_args!(r#"<text x="10" y="18" font-size="14">{}</text>"#, escaped(title)));
    legend(&mut svg);
    line(
        &mut svg,
        format_args!(
            r##"<line x1="{one}" y1="{}" x2="{one}" y2="{y}" stroke="#bbb" stroke-dasharray="3 3"/>"##,
            TOP - 6.0
        ),
    );
    svg += &body;
    svg += "</svg>\n";
    svg
}

/// Draws the bars of one metric from `y` on and gives back where they end.
fn group(body: &mut String, series: &Series, y: f64) -> f64 {
    let Some((reference_name, reference)) = reference(series) else { return y };
    let mut at = y;
    let text_y = y + BAR_HEIGHT - 2.0;
    line(
        body,
        format_args!(
            r#"<text x="{}" y="{text_y}" text-anchor="end">{}</text>"#,
            LABEL_WIDTH - 8.0,
            escaped(&series.metric)
        ),
    );
    for target in series.targets() {
        if let Some(spread) = series.spread(target) {
            bar(body, target, spread, reference, at);
            at += BAR_HEIGHT;
        }
    }
    // The floor is a share of the target it names, and can be drawn only where that is the reference.
    if let Some(floor) = series.floor.filter(|floor| floor.of == reference_name) {
        let x = LABEL_WIDTH + floor.ratio * UNIT_WIDTH;
        line(
            body,
            format_args!(
                r##"<line x1="{x}" y1="{}" x2="{x}" y2="{}" stroke="#c0392b" stroke-width="2"/>"##,
                y - 2.0,
                at + 2.0
            ),
        );
    }
    at
}

/// The target whose median is 1: that of the floor, or the null server, or the first.
fn reference(series: &Series) -> Option<(&str, f64)> {
    let wanted = series.floor.map_or("null", |floor| floor.of);
    let targets = series.targets();
    let name = targets.iter().find(|target| **target == wanted).or(targets.first())?;
    let median = series.spread(name)?.median;
    (median > 0.0).then_some((*name, median))
}

fn bar(body: &mut String, target: &str, spread: Spread, reference: f64, y: f64) {
    let colour = COLOURS.iter().find(|(name, _)| *name == target).map_or(BESIDE, |(_, colour)| *colour);
    let length = |value: f64| (value / reference).min(SHARE_MAX) * UNIT_WIDTH;
    let middle = y + (BAR_HEIGHT - 2.0) / 2.0;
    let (start, end) = (LABEL_WIDTH + length(spread.min), LABEL_WIDTH + length(spread.max));
    line(
        body,
        format_args!(
            r#"<rect x="{LABEL_WIDTH}" y="{y}" width="{:.1}" height="{}" fill="{colour}"/>"#,
            length(spread.median),
            BAR_HEIGHT - 2.0
        ),
    );
    line(body, format_args!(r##"<line x1="{start:.1}" y1="{middle}" x2="{end:.1}" y2="{middle}" stroke="#222"/>"##));
    line(
        body,
        format_args!(
            r##"<text x="{:.1}" y="{:.1}" font-size="9" fill="#444">{:.2}</text>"##,
            end.max(LABEL_WIDTH + length(spread.median)) + 4.0,
            y + BAR_HEIGHT - 3.5,
            spread.median / reference
        ),
    );
}

fn legend(svg: &mut String) {
    for (index, (name, colour)) in COLOURS.iter().enumerate() {
        let x = 10.0 + index as f64 * 100.0;
        line(svg, format_args!(r#"<rect x="{x}" y="28" width="10" height="10" fill="{colour}"/>"#));
        line(svg, format_args!(r#"<text x="{}" y="37">{name}</text>"#, x + 14.0));
    }
    line(
        svg,
        format_args!(
            r#"<text x="430" y="37">share of the null server, or of what the floor (red) names; line: least to greatest</text>"#
        ),
    );
}

fn line(svg: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(svg, "{text}").expect("a string takes all that is written");
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
