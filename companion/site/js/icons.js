// The few Font Awesome icons that the theme shows, in place of all 2,000 (0.5 MB gzipped).
import { config, dom, library } from "@fortawesome/fontawesome-svg-core";
import {
  faArrowUp, faAngleRight, faAngleLeft, faAngleUp, faBars, faChevronDown, faChevronRight, faCircleHalfStroke, faCode, faCodeBranch,
  faDownload, faExpand, faFile, faFilePdf, faLightbulb, faList, faMagnifyingGlass, faMoon,
  faOutdent, faPlay, faRocket, faSun, faXmark, faPencil, faArrowRightToBracket,
} from "@fortawesome/free-solid-svg-icons";
import { faLightbulb as faLightbulbOutline } from "@fortawesome/free-regular-svg-icons";
import { faGithub } from "@fortawesome/free-brands-svg-icons";

config.searchPseudoElements = false;
library.add(
  faArrowUp, faAngleRight, faAngleLeft, faAngleUp, faBars, faChevronDown, faChevronRight, faCircleHalfStroke, faCode, faCodeBranch,
  faDownload, faExpand, faFile, faFilePdf, faLightbulb, faList, faMagnifyingGlass, faMoon,
  faOutdent, faPlay, faRocket, faSun, faXmark, faPencil, faArrowRightToBracket,
  faLightbulbOutline, faGithub,
);
dom.watch();
