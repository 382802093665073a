#!/bin/sh
# Makes ../icons.svg: one <symbol> for each name in icons.txt, from an unpacked lucide-static package.
# Run: sh icons.sh path/to/lucide-static/icons
set -eu
here=$(dirname "$0")
frame='viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-linecap="round" stroke-linejoin="round"'
{
  echo '<svg xmlns="http://www.w3.org/2000/svg"><!-- Lucide subset: see vendor/lucide.LICENSE -->'
  while read -r name; do
    printf '<symbol id="%s" %s>' "$name" "$frame"
    sed -n 's/^  \(<.*\)/\1/p' "$1/$name.svg" | tr -d '\n'
    echo '</symbol>'
  done < "$here/icons.txt"
  echo '</svg>'
} > "$here/../icons.svg"
