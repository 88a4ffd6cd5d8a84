import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

// `npm run dev` serves the page and passes API calls on to a running server.
const server = process.env.SPANHOUSE_URL ?? "http://127.0.0.1:7317";

export default defineConfig({
  plugins: [react()],
  server: { proxy: { "^/(api/|metrics$)": { target: server, changeOrigin: true } } },
  build: {
    target: ["chrome125", "firefox128", "safari17.5"],
    // The content security policy knows neither data: images nor inline scripts.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    chunkSizeWarningLimit: 600,
  },
  test: {
    environment: "happy-dom",
    include: ["src/**/*.test.ts", "src/**/*.test.tsx"],
  },
});
