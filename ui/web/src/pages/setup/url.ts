// What the URL of Setup holds.

import { type Search, withoutEmpty } from "../../base/search";
import type { UrlOf } from "../../base/view";

export const LANGUAGES = ["env", "python", "node", "java", "go", "collector"] as const;
export type Language = (typeof LANGUAGES)[number];

export interface SetupView {
  language: Language;
  service: string;
}

export const SETUP_START: SetupView = { language: "env", service: "my-service" };

export const setupUrl: UrlOf<SetupView> = {
  read: (search: Search) => ({
    language: LANGUAGES.find((language) => language === search.language) ?? SETUP_START.language,
    service: search.service ?? SETUP_START.service,
  }),
  write: (view) =>
    withoutEmpty({
      language: view.language === SETUP_START.language ? undefined : view.language,
      service: view.service === SETUP_START.service ? undefined : view.service,
    }),
};
