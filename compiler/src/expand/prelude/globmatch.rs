//! `globmatch`, as a macro of the language: text and pattern are gone through together, and where they part, the last `*`
//! takes one byte more.

/// Its definition.
pub(super) const TEXT: &str = r"macro globmatch(text, pattern) {
  let $t = text;
  let $p = pattern;
  let $i = 0;
  let $j = 0;
  let $star = -1;
  let $mark = 0;
  // 2 while it is open, then whether they match.
  let $state = 2;
  while ($state == 2) {
    let $c = (uint8)$t[$i];
    let $q = (uint8)$p[$j];
    let $fits = false;
    let $next = $j + 1;
    if ($q == 0x2a) { // `*`
      $star = $j;
      $mark = $i;
      $j++;
    } else {
      if ($q == 0) {
        if ($c == 0) {
          $state = 1;
        }
      } else if ($c != 0 && $q == 0x3f) { // `?`
        $fits = true;
      } else if ($q == 0x5b) { // `[`; `]` closes it but for one in front, `!` in front negates
        let $k = $j + 1;
        let $negated = (uint8)$p[$k] == 0x21;
        if ($negated) {
          $k++;
        }
        let $first = $k;
        let $is_in = false;
        let $open = true;
        while ($open) {
          let $low = (uint8)$p[$k];
          if ($low == 0 || ($low == 0x5d && $k > $first)) {
            $open = false;
          } else {
            let $high = $low;
            let $to = (uint8)$p[$k + 2];
            if ((uint8)$p[$k + 1] == 0x2d && $to != 0x5d && $to != 0) { // `-`
              $high = $to;
              $k += 2;
            }
            if ($low <= $c && $c <= $high) {
              $is_in = true;
            }
            $k++;
          }
        }
        $next = $k + 1;
        $fits = $c != 0 && $is_in != $negated;
      } else {
        $fits = $c == $q;
      }
      if ($state == 2) {
        if ($fits) {
          $i++;
          $j = $next;
        } else if ($star >= 0 && (uint8)$t[$mark] != 0) {
          $mark++;
          $i = $mark;
          $j = $star + 1;
        } else {
          $state = 0;
        }
      }
    }
  }
  $state == 1
}
";
