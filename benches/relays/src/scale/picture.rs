//! scale.svg: a panel of curves for each thing that grows, both axes logarithmic.

use super::{
    figures::{Curve, Panel, Point},
    tables::significant,
};
use crate::picture::{Area, Drawn, FAINT, INK, colour, with_words, write};
use plotters::{
    coord::{
        CoordTranslate,
        combinators::{BindKeyPoints, IntoLogRange},
    },
    element::DashedPathElement,
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};
use std::{error::Error, ops::Range};

const COLUMNS: usize = 2;
const PANEL: (u32, u32) = (560, 430);
const TOP: u32 = 70;
/// Where the axes begin in a panel.
const LEFT: i32 = 80;
const TITLE: &str = "Cost as work grows";

/// The picture as SVG; `notes` are lines below the legend.
pub fn draw(panels: &[Panel], notes: &[String]) -> Result<String, Box<dyn Error>> {
    let rows = (panels.len() + 1).div_ceil(COLUMNS);
    let size = (PANEL.0 * COLUMNS as u32, TOP + PANEL.1 * rows as u32);
    let mut svg = String::new();
    let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
    root.fill(&WHITE)?;
    write(&root, TITLE, (20, 28), 24, HPos::Left)?;
    let below = "both axes are logarithmic; lower is better; medians; on the axis: × no run that counts, 0 nothing to measure";
    write(&root, below, (20, 54), 14, HPos::Left)?;
    let areas = root.margin(TOP, 0, 0, 0).split_evenly((rows, COLUMNS));
    for (area, panel) in areas.iter().zip(panels) {
        draw_panel(area, panel)?;
    }
    if let (Some(area), Some(panel)) = (areas.get(panels.len()), panels.first()) {
        draw_legend(area, &panel.peers, notes)?;
    }
    root.present()?;
    drop((areas, root));
    Ok(with_words(&svg, TITLE, &description(panels)))
}

fn draw_panel(area: &Area, panel: &Panel) -> Drawn {
    write(area, panel.title, (LEFT, 22), 17, HPos::Left)?;
    if panel.curves.len() > 1 {
        draw_curve_names(area, &panel.curves)?;
    }
    let (xs, ys) = (axis(xs(panel)), axis(ys(panel)));
    let bottom = ys.start;
    let mut chart = ChartBuilder::on(area)
        .margin_top(56)
        .margin_left(14)
        .margin_right(24)
        .margin_bottom(22)
        .x_label_area_size(46)
        .y_label_area_size(66)
        .build_cartesian_2d(
            xs.clone().log_scale().with_key_points(x_ticks(panel, &xs)),
            ys.clone().log_scale().with_key_points(ticks(&ys)),
        )?;
    chart
        .configure_mesh()
        .bold_line_style(FAINT)
        .light_line_style(TRANSPARENT)
        .axis_style(INK)
        .x_label_formatter(&|x| short(*x, in_bytes(panel)))
        .y_label_formatter(&|y| format!("{y}"))
        .label_style(("sans-serif", 13).into_font().color(&INK))
        .axis_desc_style(("sans-serif", 14).into_font().color(&INK))
        .x_desc(panel.x)
        .y_desc(panel.y)
        .draw()?;
    draw_curves(chart.plotting_area(), panel, bottom)
}

fn draw_curves<C: CoordTranslate<From = (f64, f64)>>(
    area: &Area<C>,
    panel: &Panel,
    bottom: f64,
) -> Drawn {
    for (number, curve) in panel.curves.iter().enumerate() {
        for (at, peer) in panel.peers.iter().enumerate() {
            let colour = colour(peer);
            for points in stretches(curve, at) {
                draw_line(area, points.clone(), number, colour)?;
                for point in points {
                    draw_marker(area, point, at, colour)?;
                }
            }
            for (x, is_nothing) in gaps(curve, at) {
                if is_nothing {
                    let style = ("sans-serif", 15)
                        .into_font()
                        .color(&colour)
                        .pos(Pos::new(HPos::Center, VPos::Bottom));
                    area.draw(&Text::new("0", (x, bottom), style))?;
                } else {
                    area.draw(&Cross::new((x, bottom), 5, colour.stroke_width(2)))?;
                }
            }
        }
    }
    Ok(())
}

/// A curve, solid, dashed or dotted by its number in the panel.
fn draw_line<C: CoordTranslate<From: Clone + 'static>>(
    area: &Area<C>,
    points: Vec<C::From>,
    number: usize,
    colour: RGBColor,
) -> Drawn {
    let style = colour.stroke_width(2);
    match number {
        0 => area.draw(&PathElement::new(points, style))?,
        1 => area.draw(&DashedPathElement::new(points, 9, 5, style))?,
        _ => area.draw(&DashedPathElement::new(points, 2, 5, style))?,
    }
    Ok(())
}

/// A point, of a shape that tells peers apart without their colours.
fn draw_marker<C: CoordTranslate<From: Clone + 'static>>(
    area: &Area<C>,
    point: C::From,
    peer: usize,
    colour: RGBColor,
) -> Drawn {
    let corners = match peer % 4 {
        0 => return Ok(area.draw(&Circle::new(point, 4, colour.filled()))?),
        1 => vec![(0, -6), (6, 5), (-6, 5)],
        2 => vec![(-4, -4), (4, -4), (4, 4), (-4, 4)],
        _ => vec![(0, -6), (6, 0), (0, 6), (-6, 0)],
    };
    Ok(area.draw(&(EmptyElement::at(point) + Polygon::new(corners, colour.filled())))?)
}

fn draw_curve_names(area: &Area, curves: &[Curve]) -> Drawn {
    let mut x = LEFT;
    for (number, curve) in curves.iter().enumerate() {
        draw_line(area, vec![(x, 44), (x + 34, 44)], number, INK)?;
        write(area, curve.label, (x + 42, 44), 14, HPos::Left)?;
        x += 66 + 8 * curve.label.len() as i32;
    }
    Ok(())
}

fn draw_legend(area: &Area, peers: &[&str], notes: &[String]) -> Drawn {
    let below = 80 + 30 * peers.len() as i32 + 10;
    for (at, note) in notes.iter().enumerate() {
        let place = (LEFT, below + 22 * at as i32);
        write(area, note, place, 13, HPos::Left)?;
    }
    for (at, peer) in peers.iter().enumerate() {
        let y = 80 + 30 * at as i32;
        draw_line(area, vec![(LEFT, y), (LEFT + 44, y)], 0, colour(peer))?;
        draw_marker(area, (LEFT + 22, y), at, colour(peer))?;
        write(area, peer, (LEFT + 56, y), 16, HPos::Left)?;
    }
    Ok(())
}

/// What can be shown on a logarithmic axis.
fn shown(value: Option<f64>) -> Option<f64> {
    value.filter(|value| *value > 0.0)
}

/// The points of a peer's curve, broken where one is missing.
fn stretches(curve: &Curve, peer: usize) -> Vec<Vec<(f64, f64)>> {
    let points = curve
        .points
        .iter()
        .map(|point| shown(point.costs[peer].median).map(|value| (point.x as f64, value)));
    let points: Vec<Option<(f64, f64)>> = points.collect();
    let stretches = points.split(Option::is_none).filter(|stretch| !stretch.is_empty());
    stretches.map(|stretch| stretch.iter().flatten().copied().collect()).collect()
}

/// Where a peer has no point, and whether that is since it costs nothing.
fn gaps(curve: &Curve, peer: usize) -> impl Iterator<Item = (f64, bool)> {
    let gaps = curve.points.iter().filter(move |point| shown(point.costs[peer].median).is_none());
    gaps.map(move |point| (point.x as f64, point.costs[peer].median.is_some()))
}

fn xs(panel: &Panel) -> impl Iterator<Item = f64> {
    panel.curves.iter().flat_map(|curve| &curve.points).map(|point| point.x as f64)
}

fn ys(panel: &Panel) -> impl Iterator<Item = f64> {
    let points = panel.curves.iter().flat_map(|curve| &curve.points);
    points.flat_map(|point| &point.costs).filter_map(|cost| shown(cost.median))
}

/// An axis with room around all of `values`.
fn axis(values: impl Iterator<Item = f64>) -> Range<f64> {
    let (least, most) = values.fold((f64::MAX, f64::MIN_POSITIVE), |(least, most), value| {
        (least.min(value), most.max(value))
    });
    // Nothing at all was measured: any axis will do.
    if least > most { 0.5..2.0 } else { least / 1.4..most * 1.4 }
}

/// 1, 2 and 5 times the powers of ten, or the powers alone on a long axis.
fn ticks(axis: &Range<f64>) -> Vec<f64> {
    let steps: &[f64] = if axis.end / axis.start > 500.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
    // Parsed, as 0.01 times 5 is not 0.05.
    let tick = |step: &f64, power: i32| format!("{step}e{power}").parse().expect("a number");
    let all = (-6..=7).flat_map(|power| steps.iter().map(move |step| tick(step, power)));
    all.filter(|tick| axis.contains(tick)).collect()
}

/// Powers of ten of sessions; every other size in bytes.
fn x_ticks(panel: &Panel, axis: &Range<f64>) -> Vec<f64> {
    if !in_bytes(panel) {
        return ticks(axis);
    }
    panel
        .curves
        .first()
        .into_iter()
        .flat_map(|curve| curve.points.iter().step_by(2))
        .map(|point| point.x as f64)
        .collect()
}

fn in_bytes(panel: &Panel) -> bool {
    panel.x.starts_with("bytes")
}

/// `4 KiB` for 4096 bytes; `1k` for 1000 of something else.
fn short(value: f64, bytes: bool) -> String {
    let (unit, names) =
        if bytes { (1024.0, ["", " KiB", " MiB"]) } else { (1000.0, ["", "k", "M"]) };
    let power = if value < unit {
        0
    } else if value < unit * unit {
        1
    } else {
        2
    };
    format!("{}{}", value / f64::powi(unit, power), names[power as usize])
}

/// What the picture shows, in words: the first and the last point of each curve.
fn description(panels: &[Panel]) -> String {
    let ends = |panel: &Panel, curve: &Curve, at: usize, peer: &str| {
        let end = |point: &Point| {
            format!(
                "{} at {}",
                significant(point.costs[at].median),
                short(point.x as f64, in_bytes(panel))
            )
        };
        let (first, last) = (curve.points.first()?, curve.points.last()?);
        Some(format!("{peer}, {}: {}, {}", curve.label, end(first), end(last)))
    };
    let of = |panel: &Panel| {
        let peers = panel.peers.iter().enumerate();
        let all = peers.flat_map(|(at, peer)| {
            panel.curves.iter().filter_map(move |curve| ends(panel, curve, at, peer))
        });
        format!(
            "{} ({}, by {}): {}.",
            panel.title,
            panel.y,
            panel.x,
            all.collect::<Vec<_>>().join("; ")
        )
    };
    panels.iter().map(of).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scale::figures::Cost;

    fn panel(medians: &[Option<f64>]) -> Panel {
        let cost = |median| Cost { median, least: median, remark: None };
        let points = medians.iter().enumerate().map(|(at, &median)| Point {
            x: 10usize.pow(at as u32),
            workload: "",
            costs: vec![cost(median)],
        });
        Panel {
            title: "CPU & <so on>",
            x: "sessions",
            y: "µs",
            text: "",
            peers: vec!["wsrelay"],
            curves: vec![Curve { label: "all", points: points.collect() }],
        }
    }

    #[test]
    fn a_missing_point_breaks_the_line() {
        let panel = panel(&[Some(1.0), Some(2.0), None, Some(4.0), Some(0.0)]);
        let stretches = stretches(&panel.curves[0], 0);
        assert_eq!(stretches, [vec![(1.0, 1.0), (10.0, 2.0)], vec![(1000.0, 4.0)]]);
        let gaps: Vec<(f64, bool)> = gaps(&panel.curves[0], 0).collect();
        assert_eq!(gaps, [(100.0, false), (10_000.0, true)], "one not measured, one without cost");
    }

    #[test]
    fn axes_hold_all_points_and_have_ticks() {
        let axis = axis([0.05, 3.0].into_iter());
        assert!(axis.contains(&0.05) && axis.contains(&3.0));
        assert_eq!(ticks(&axis), [0.05, 0.1, 0.2, 0.5, 1.0, 2.0]);
        assert_eq!(ticks(&(0.5..20_000.0)), [1.0, 10.0, 100.0, 1000.0, 10_000.0]);
        assert!(!ticks(&super::axis([].into_iter())).is_empty());
        let labels = [1.0, 4096.0, 1_048_576.0].map(|bytes| short(bytes, true));
        assert_eq!(labels, ["1", "4 KiB", "1 MiB"]);
        assert_eq!(short(10_000.0, false), "10k");
    }

    #[test]
    fn the_picture_is_drawn_and_told() {
        for medians in [&[Some(1.0), None, Some(2.5)][..], &[None, None]] {
            let svg = draw(&[panel(medians)], &["on a machine".into()]).unwrap();
            assert!(svg.contains("on a machine"));
            assert!(svg.contains("<title id=\"title\">Cost as work grows</title>"));
            assert!(svg.contains("<desc id=\"desc\">CPU &amp; &lt;so on&gt;"));
            let told = svg.contains("wsrelay, all: 1.00 at 1, 2.50 at 100.");
            assert_eq!(told, medians[0].is_some());
        }
    }
}
