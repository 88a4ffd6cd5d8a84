export default function Page() {
  return <main>sql</main>;
}
