export default function Page() {
  return <main>ingest</main>;
}
