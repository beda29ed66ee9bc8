// The few Font Awesome icons that the theme shows, in place of all 2,000 (0.5 MB gzipped).
import { config, dom, library } from "@fortawesome/fontawesome-svg-core";
import * as icons from "./theme-icons.js";

config.searchPseudoElements = false;
library.add(...Object.values(icons));
dom.watch();
