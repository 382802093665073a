// Small behaviour for every page: runs under `script-src 'self'`, without inline handlers and without eval.
// Each page reads and acts without it; these modules only make it quicker.
import { startCopy } from "./copy.js";
import { startEditor } from "./editor.js";
import { startKeys } from "./keys.js";
import { startLines } from "./lines.js";
import { startMenus } from "./menus.js";
import { startPanels } from "./panels.js";
import { rowKeys, startRows } from "./rows.js";
import { startTheme, toggleTheme } from "./theme.js";
import { startTimes } from "./times.js";

startTheme();
startMenus();
startRows();
startKeys({ t: toggleTheme, ...rowKeys });
startPanels();
startTimes();
startEditor();
startLines();
startCopy();
